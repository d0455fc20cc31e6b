//! Values of form fields that no appearance shows: whoever fills a form may leave drawing it to the reader.

use hayro_interpret::{
    RectExt as _, TransformExt as _,
    hayro_syntax::{
        object::{Array, Dict, Name, Object, Rect, String as PdfString},
        page::Page,
    },
    kurbo::{Affine, Point, Rect as Area, Vec2},
};

use super::{glyphs::Shown, layout::Glyph, strings::decoded};

/// Annotation flags: hidden, and not to be seen.
const UNSEEN: u32 = 1 << 1 | 1 << 5;
/// Fields above a field.
const DEPTH: usize = 16;
/// Fields of one page.
const MAX_FIELDS: usize = 2_000;
/// Height of a line in points, where a field has room for more.
const LINE: f64 = 12.0;
/// Part of a line's height that a letter is wide.
const WIDE: f64 = 0.5;
/// Part of a line's height below its letters.
const BELOW: f64 = 0.15;

/// Adds what the page's fields hold and does not show by itself.
pub(super) fn add_values(page: &Page<'_>, shown: &mut Shown) {
    let Some(annotations) = page.raw().get::<Array<'_>>("Annots") else { return };
    let to_page = page.initial_transform(true).to_kurbo();
    let drawn: Vec<Point> = shown.glyphs.iter().map(|glyph| Point::new(glyph.x, glyph.y)).collect();
    for field in annotations.iter::<Dict<'_>>().take(MAX_FIELDS) {
        let is_widget = field.get::<Name<'_>>("Subtype").is_some_and(|kind| kind.as_str() == "Widget");
        let is_seen = field.get::<u32>("F").unwrap_or_default() & UNSEEN == 0;
        if is_widget
            && is_seen
            && let (Some(value), Some(place)) = (value(&field), field.get::<Rect>("Rect"))
            && !is_drawn(to_page.transform_rect_bbox(place.to_kurbo()), &drawn)
        {
            write(&value, place, to_page, shown);
        }
    }
}

/// Whether letters stand in the field already.
fn is_drawn(field: Area, drawn: &[Point]) -> bool {
    drawn.iter().any(|place| field.contains(*place))
}

/// The value of a field, its own or that of a field above; of boxes and buttons it is what is chosen.
fn value(field: &Dict<'_>) -> Option<String> {
    // Of buttons that belong together each has a state of its own.
    if let Some(state) = field.get::<Name<'_>>("AS") {
        return Some(state.as_str().to_owned()).filter(|state| state != "Off");
    }
    let mut field = field.clone();
    for _ in 0..DEPTH {
        if let Some(value) = field.get::<Object<'_>>("V") {
            return text(&value).filter(|text| !text.trim().is_empty());
        }
        field = field.get::<Dict<'_>>("Parent")?;
    }
    None
}

fn text(value: &Object<'_>) -> Option<String> {
    match value {
        Object::String(text) => Some(decoded(text.as_bytes())),
        Object::Name(name) => Some(name.as_str().to_owned()).filter(|name| name != "Off"),
        Object::Array(chosen) => {
            Some(chosen.iter::<PdfString<'_>>().map(|text| decoded(text.as_bytes())).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    }
}

/// Writes lines into a field, as its appearance would.
fn write(value: &str, place: Rect, to_page: Affine, shown: &mut Shown) {
    let lines: Vec<&str> = value.lines().collect();
    let height = (place.y1 - place.y0).abs();
    let line = LINE.min(height / lines.len().max(1) as f64);
    let [a, b, ..] = to_page.as_coeffs();
    let along = Vec2::new(a, b) / a.hypot(b);
    // One line stands in the middle of its field, several begin at its top.
    let top = if lines.len() > 1 { place.y0.max(place.y1) } else { f64::midpoint(place.y0, place.y1) + line / 2.0 };
    for (number, text) in lines.into_iter().enumerate() {
        let y = top - line * (number as f64 + 1.0 - BELOW);
        let mut x = place.x0.min(place.x1);
        for c in text.chars().filter(|c| !c.is_control()) {
            let Point { x: across, y: down } = to_page * Point::new(x, y);
            let (along, width) = ((along.x, along.y), WIDE * line);
            shown.add(Glyph { text: c.to_string(), x: across, y: down, along, width, size: line });
            x += width;
        }
    }
}
