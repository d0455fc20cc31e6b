//! The letters of a page and where they stand, as the crate that interprets pages tells them.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hayro_interpret::{
    BlendMode, ClipPath, Context, Device, DrawMode, DrawProps, Image, ImageDrawProps, InterpreterCache,
    InterpreterSettings, InterpreterWarning, RenderContent, SoftMask, TransformExt as _,
    font::{Glyph as Drawn, GlyphRun},
    hayro_cmap::{BfString, WritingMode},
    hayro_syntax::{
        content::TypedIter,
        object::{Dict, String as PdfString},
        page::Page,
    },
    interpret, interpret_page,
    kurbo::{Affine, BezPath, PathEl, Point, Rect, Vec2},
};

use super::{
    codes::{Codes, of_one_byte},
    layout::{Glyph, Rule},
    strings::decoded,
};

/// Units of a font's own space in the height of a line.
const UNITS: f64 = 1000.0;
/// Where a letter of vertical writing begins above its origin.
const TOP: f64 = 880.0;
/// Letters of one page. A page of print has a few thousand.
const MAX_GLYPHS: usize = 400_000;
/// How far out a letter may stand, and how large it may be, in points; the largest pages have less.
const FAR_OUT: f64 = 1e6;
/// The size of a letter in points below which nobody sees it.
const UNSEEN: f64 = 1e-3;
/// Ruled lines of one page.
const MAX_RULES: usize = 4_000;
/// How much a ruled line may rise or fall, in points.
const LEVEL: f64 = 1.0;
/// How long a ruled line is at least, in points.
const LONG: f64 = 12.0;
/// How far the stretching of letters of one run may differ that are all stretched alike.
const ALIKE: f64 = 0.02;

/// What a page shows.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) glyphs: Vec<Glyph>,
    pub(super) rules: Vec<Rule>,
    /// Letters whose fonts do not say which they are.
    pub(super) nameless: usize,
    /// Whether there are more letters than are read.
    pub(super) overflowed: bool,
    /// Whether letters are missing because their font cannot be read.
    pub(super) lacks_font: bool,
    /// What fonts do not say themselves.
    codes: Rc<Codes>,
    /// Marked content in work, and with which letter it begins where it says what it reads as.
    marked: Vec<Option<(String, usize)>>,
    /// How much of that says so.
    said: usize,
}

/// Follows a page's instructions, and then those of what is put on it. Pictures are never decoded, and nothing is drawn.
pub(super) fn shown<'a>(page: &Page<'a>, contents: &[u8], cache: &InterpreterCache<'a>, codes: &Rc<Codes>) -> Shown {
    codes.learn(page);
    let mut shown = Shown { codes: Rc::clone(codes), ..Shown::default() };
    let lacks_font = Arc::new(AtomicBool::new(false));
    let (width, height) = page.render_dimensions();
    let area = Rect::new(0.0, 0.0, f64::from(width), f64::from(height));
    let context = || {
        let lacks = Arc::clone(&lacks_font);
        let settings = InterpreterSettings {
            warning_sink: Arc::new(move |warning| {
                if matches!(warning, InterpreterWarning::UnsupportedFont) {
                    lacks.store(true, Ordering::Relaxed);
                }
            }),
            render_content: RenderContent::ANNOTATIONS,
            ..InterpreterSettings::default()
        };
        Context::new(page.initial_transform(true).to_kurbo(), area, cache, page.xref(), settings)
    };
    interpret(TypedIter::new(contents), page.resources(), &mut context(), &mut shown);
    interpret_page(page, &mut context(), &mut shown);
    shown.lacks_font = lacks_font.load(Ordering::Relaxed);
    shown
}

impl Shown {
    /// Adds a letter, unless it is too small, too large or too far out to be seen on any page.
    pub(super) fn add(&mut self, glyph: Glyph) {
        let places = [glyph.x, glyph.y, glyph.width, glyph.size];
        let is_directed = glyph.along.0.is_finite() && glyph.along.1.is_finite();
        // A place that is no number is none within the bounds either.
        if !(is_directed && glyph.size >= UNSEEN && places.iter().all(|place| place.abs() <= FAR_OUT)) {
            return;
        }
        if self.glyphs.len() >= MAX_GLYPHS {
            self.overflowed = true;
            return;
        }
        self.glyphs.push(glyph);
    }

    /// The text of a letter; none where neither its font nor its code tells, and an empty one where it is a mark that says nothing.
    fn letters(&self, glyph: &Drawn<'_>) -> Option<String> {
        let by_code = || match glyph {
            Drawn::Outline(outline) => match outline.font_data() {
                Some(font) => self.codes.letter(&font.postscript_name?, outline.char_code()),
                None => self.codes.unnamed(outline.char_code()),
            },
            Drawn::Type3(drawn) => of_one_byte(drawn.char_code()),
        };
        glyph.as_unicode().or_else(by_code).map(legible)
    }

    fn run(&mut self, run: &GlyphRun<'_, '_>, transform: Affine) {
        // A font that is not embedded is replaced, and each of its letters stretched to the width that it should have; that width is what counts.
        let stretches = run.glyphs().iter().map(|glyph| stretch(transform * glyph.transform()));
        let (least, most) = stretches.fold((f64::MAX, 0.0_f64), |(l, m), s| (l.min(s), m.max(s)));
        let replaced = most - least > ALIKE * most;
        for glyph in run.glyphs() {
            let text = self.letters(glyph);
            // What marked content reads as is said at its end.
            self.nameless += usize::from(text.is_none() && self.said == 0);
            let text = text.unwrap_or_default();
            if text.is_empty() && self.said == 0 {
                continue;
            }
            let place = transform * glyph.transform();
            let [a, b, c, d, ..] = place.as_coeffs();
            let width = match &**glyph {
                Drawn::Outline(outline) => f64::from(outline.advance_width().unwrap_or_default()),
                Drawn::Type3(drawn) => f64::from(drawn.advance_width().unwrap_or_default()),
            };
            let wide = a.hypot(b);
            let size = if wide > 0.0 { (a * d - b * c).abs() / wide } else { 0.0 };
            let (start, along, advance) = match run.writing_mode() {
                WritingMode::Horizontal => (Point::ZERO, Vec2::new(a, b), width * if replaced { size } else { wide }),
                WritingMode::Vertical => (Point::new(width / 2.0, TOP), Vec2::new(-c, -d), UNITS * size),
            };
            let Point { x, y } = place * start;
            let along = along / along.hypot();
            self.add(Glyph { text, x, y, along: (along.x, along.y), width: advance, size: size * UNITS });
        }
    }
}

/// How much wider than high a transform makes what it is given.
fn stretch(transform: Affine) -> f64 {
    let [a, b, ..] = transform.as_coeffs();
    let area = transform.determinant().abs();
    if area > 0.0 { (a * a + b * b) / area } else { 0.0 }
}

/// The text of a letter, as it is written otherwise than by drawing.
fn legible(text: BfString) -> String {
    let text = match text {
        BfString::Char(c) => c.to_string(),
        BfString::String(text) => text,
    };
    // What is no text would survive into terminals.
    let mut read = String::new();
    for c in text.chars() {
        match ligature(c) {
            Some(letters) => read.push_str(letters),
            None => read.extend(Some(bullet(c)).filter(|c| !c.is_control() && !is_private(*c))),
        }
    }
    read
}

/// The letters that are drawn as one.
fn ligature(c: char) -> Option<&'static str> {
    match c {
        'ﬀ' => Some("ff"),
        'ﬁ' => Some("fi"),
        'ﬂ' => Some("fl"),
        'ﬃ' => Some("ffi"),
        'ﬄ' => Some("ffl"),
        'ﬅ' | 'ﬆ' => Some("st"),
        _ => None,
    }
}

/// Marks of lists that symbol fonts have in places of their own.
fn bullet(c: char) -> char {
    match c {
        '\u{f06c}' | '\u{f06e}' | '\u{f0a7}' | '\u{f0b7}' | '\u{f0d8}' | '\u{f076}' => '•',
        '\u{f0fc}' => '✓',
        c => c,
    }
}

/// Whether it is no letter, or only says how one is drawn.
fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fffd}' | '\u{e0100}'..='\u{e01ef}')
}

impl<'a> Device<'a> for Shown {
    fn draw_path(&mut self, path: &BezPath, props: DrawProps<'a>, _: &DrawMode) {
        let mut from = Point::ZERO;
        for element in path {
            let to = match element {
                PathEl::MoveTo(to) => {
                    from = props.transform * to;
                    continue;
                }
                PathEl::LineTo(to) => props.transform * to,
                PathEl::QuadTo(..) | PathEl::CurveTo(..) | PathEl::ClosePath => continue,
            };
            let is_rule = (to.y - from.y).abs() <= LEVEL && (to.x - from.x).abs() >= LONG;
            if is_rule && self.rules.len() < MAX_RULES {
                self.rules.push(Rule { from: from.x.min(to.x), to: from.x.max(to.x), y: from.y });
            }
            from = to;
        }
    }

    fn push_clip_path(&mut self, _: &ClipPath) {}

    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}

    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, _: &DrawMode) {
        self.run(run, props.transform);
    }

    fn draw_image(&mut self, _: Image<'a, '_>, _: ImageDrawProps<'a>) {}

    fn pop_clip(&mut self) {}

    fn pop_transparency_group(&mut self) {}

    fn begin_marked_content(&mut self, _: &[u8], properties: Option<&Dict<'_>>) {
        let text = properties.and_then(|properties| properties.get::<PdfString<'_>>("ActualText"));
        self.said += usize::from(text.is_some());
        self.marked.push(text.map(|text| (decoded(text.as_bytes()), self.glyphs.len())));
    }

    fn end_marked_content(&mut self) {
        let Some(Some((text, from))) = self.marked.pop() else { return };
        self.said -= 1;
        let [first, rest @ ..] = &mut self.glyphs[from..] else { return };
        // What is drawn over several lines would stand on one of them alone.
        if rest.iter().any(|glyph| (glyph.y - first.y).abs() > first.size || glyph.along != first.along) {
            return;
        }
        let end =
            |glyph: &Glyph| (glyph.x - first.x) * first.along.0 + (glyph.y - first.y) * first.along.1 + glyph.width;
        first.width = rest.iter().map(end).fold(first.width, f64::max);
        first.text = text.chars().filter(|c| !c.is_control()).collect();
        let left = if first.text.is_empty() { from } else { from + 1 };
        self.glyphs.truncate(left);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::layout::paragraphs, *};

    #[test]
    fn a_letter_that_stands_on_no_page_is_left_out_and_those_beside_it_are_read() {
        let mut shown = Shown::default();
        let letter = |text: &str, x: f64, y: f64, size: f64| Glyph {
            text: text.to_owned(),
            x,
            y,
            along: (1.0, 0.0),
            width: size / 2.0,
            size,
        };
        shown.add(letter("a", 10.0, 10.0, 10.0));
        for far in [1e30, -1e30, f64::INFINITY, f64::NAN] {
            shown.add(letter("b", far, 10.0, 10.0));
            shown.add(letter("c", 10.0, far, 10.0));
            shown.add(letter("d", 10.0, 10.0, far));
        }
        shown.add(letter("e", 10.0, 10.0, 1e-30));
        shown.add(letter("f", 15.0, 10.0, 10.0));
        let found = paragraphs(shown.glyphs, &[]);
        assert_eq!(found.iter().flat_map(|paragraph| &paragraph.lines).collect::<Vec<_>>(), ["af"]);
    }
}
