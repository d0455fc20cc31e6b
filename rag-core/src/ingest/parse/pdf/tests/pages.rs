//! How the letters of a page become text.

use super::{Made, case, line, lines, shows, text, upright};

#[test]
fn rotated() {
    let wanted = "Landscape table of tariffs.\nThe freight tariff for zone seven is 88 euro per pallet.";
    assert_eq!(text(&case("rotated.pdf")), wanted);
}

#[test]
fn a_page_is_read_in_the_direction_in_which_it_is_written_however_it_is_turned() {
    for (turned, matrix, step) in [
        ("", "0 1 -1 0", (14.0, 0.0)),
        ("/Rotate 180", "-1 0 0 -1", (0.0, 14.0)),
        ("/Rotate 270", "0 -1 1 0", (-14.0, 0.0)),
    ] {
        let at = |n: f64| (300.0 + n * step.0, 300.0 + n * step.1);
        let content =
            line(at(0.0), matrix, 11, "The first line of it.") + &line(at(1.0), matrix, 11, "The second one.");
        for page in [turned, ""] {
            let made = Made { content: content.as_bytes(), page, ..Made::default() };
            assert_eq!(made.text(), "The first line of it.\nThe second one.", "{page} {matrix}");
        }
    }
}

#[test]
fn what_is_written_across_a_page_stands_behind_its_text() {
    let content = upright(72.0, 720.0, "The page is upright.")
        + &line((200.0, 300.0), "0.7071 0.7071 -0.7071 0.7071", 60, "DRAFT")
        + &upright(72.0, 706.0, "It has two lines.");
    assert_eq!(shows(&content), "The page is upright.\nIt has two lines.\n\nDRAFT");
}

#[test]
fn fakebold_glyph() {
    assert_eq!(text(&case("fakebold_glyph.pdf")), "PLK-104B\nis the part number of the seal kit.");
}

#[test]
fn words_that_are_drawn_again_to_look_bold_are_read_once_and_double_letters_stay() {
    let content = upright(72.0, 720.0, "Bold heading")
        + &upright(72.3, 720.0, "Bold heading")
        + &upright(72.0, 719.7, "Bold heading")
        + &upright(72.0, 706.0, "Hello, all 1100 bells ... ring.");
    assert_eq!(shows(&content), "Bold heading\nHello, all 1100 bells ... ring.");
}

#[test]
fn hyphen_id() {
    let wanted = "Restart the proxy with the unit named kube-proxy after every change; the ticket is ops-request.";
    assert_eq!(text(&case("hyphen_id.pdf")), wanted);
}

#[test]
fn softhyphen_tou() {
    let wanted = "The department of metrology calibrates the thermometer every 18 months.";
    assert_eq!(text(&case("softhyphen_tou.pdf")), wanted);
}

#[test]
fn columns_rowwise() {
    let wanted = "Left column says that the\nboiler must be vented\nbefore it is lit again.\n\n\
                  Right column says that\nvisitors have to sign\nthe book at the gate.";
    assert_eq!(text(&case("columns_rowwise.pdf")), wanted);
}

const COLUMNS: [[&str; 4]; 3] = [
    ["Left column tells of", "boilers that must be", "vented before they", "are lit again."],
    ["Middle one tells of", "visitors who have to", "sign the book at the", "gate each morning."],
    ["Right one tells of", "the canteen which is", "open from noon until", "two in the afternoon."],
];

#[test]
fn three_columns_that_are_drawn_across_are_read_one_after_the_other_below_their_title() {
    let mut content =
        line((72.0, 750.0), "1 0 0 1", 14, "A title that spans all of the three columns of this page and is long");
    for row in 0..4 {
        for (column, x) in COLUMNS.iter().zip([72.0, 250.0, 430.0]) {
            content += &upright(x, 720.0 - 14.0 * row as f64, column[row]);
        }
    }
    content += &upright(72.0, 640.0, "Below the columns the page goes on over its whole width, in one line again.");
    let read = shows(&content);
    let columns = COLUMNS.map(|column| column.join("\n")).join("\n\n");
    assert!(read.contains(&columns), "{read}");
    assert!(read.starts_with("A title") && read.ends_with("one line again."), "{read}");
}

#[test]
fn columns_whose_lines_stand_at_other_heights_are_columns() {
    let [left, right, _] = COLUMNS;
    let content = lines(72.0, 720.0, &left) + &lines(330.0, 713.0, &right);
    assert_eq!(shows(&content), format!("{}\n\n{}", left.join("\n"), right.join("\n")));
}

#[test]
fn a_table_is_read_line_by_line() {
    let mut content = String::new();
    for (row, cells) in
        (0..).zip([["Model", "Pressure", "Weight"], ["X200", "3 bar", "12 kg"], ["X300", "5 bar", "15 kg"]])
    {
        for (cell, x) in cells.iter().zip([72.0, 200.0, 330.0]) {
            content += &upright(x, 720.0 - 14.0 * f64::from(row), cell);
        }
    }
    assert_eq!(shows(&content), "Model Pressure Weight\nX200 3 bar 12 kg\nX300 5 bar 15 kg");
}

#[test]
fn a_table_with_long_cells_is_read_line_by_line_where_lines_are_ruled_or_each_cell_is_one_of_its_own() {
    let cells = [
        ["What to do each week", "Look at the seal of the pump"],
        ["What to do each month", "Change the oil and the filter"],
        ["What to do each year", "Open the housing and clean it"],
        ["What to do at the end", "Drain it and close the valves"],
    ];
    let table = |cells: [[String; 2]; 4], ruled: bool| {
        let mut content = String::new();
        for (row, cells) in (0..).map(f64::from).zip(&cells) {
            let y = 720.0 - 14.0 * row;
            content += &upright(72.0, y, &cells[0]);
            content += &upright(330.0, y, &cells[1]);
            if ruled {
                content += &format!("72 {} m 500 {} l S\n", y - 3.0, y - 3.0);
            }
        }
        let rows = cells.map(|cells| cells.join(" ")).join("\n");
        assert_eq!(shows(&content), rows);
    };
    table(cells.map(|cells| cells.map(str::to_owned)), false);
    table(cells.map(|cells| cells.map(str::to_lowercase)), true);
}

#[test]
fn letters_that_are_moved_together_stay_words_and_an_exponent_stays_apart() {
    let content = "BT /F1 12 Tf 1 0 0 1 72 720 Tm [(Wo) 40 (rd) -300 (next) 120 (ly)] TJ ET\n".to_owned()
        + &upright(72.0, 706.0, "10")
        + &line((84.5, 710.0), "1 0 0 1", 7, "5")
        + &upright(92.0, 706.0, "Pa");
    assert_eq!(shows(&content), "Word nextly\n10 5 Pa");
}

#[test]
fn form() {
    assert_eq!(text(&case("form.pdf")), "Application for cover\n\nPolicy number: POL-88213");
}

#[test]
fn values_of_fields_that_nothing_shows_stand_behind_their_labels_and_hidden_ones_do_not() {
    let content = upright(72.0, 700.0, "Name:") + &upright(72.0, 680.0, "Agrees:") + &upright(72.0, 660.0, "City:");
    let made = Made {
        content: content.as_bytes(),
        page: "/Annots [6 0 R 7 0 R 8 0 R 9 0 R]",
        objects: &[
            "<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Ada Lovelace) /Rect [120 696 300 712] >>",
            "<< /Type /Annot /Subtype /Widget /FT /Btn /T (agrees) /V /Yes /Rect [120 676 136 692] >>",
            "<< /Type /Annot /Subtype /Widget /Parent 10 0 R /Rect [120 656 300 672] >>",
            "<< /Type /Annot /Subtype /Widget /FT /Tx /T (secret) /F 2 /V (HIDDEN) /Rect [120 600 300 612] >>",
            "<< /FT /Ch /T (city) /V <feff004d00fc006e006300680065006e> >>",
        ],
        ..Made::default()
    };
    assert_eq!(made.text(), "Name: Ada Lovelace\nAgrees: Yes\nCity: München");
}

#[test]
fn info_title() {
    let said = super::said(&case("info_title.pdf")).unwrap();
    assert_eq!(said.title.as_deref(), Some("Maintenance handbook of the Kronborg pump"));
    assert_eq!(said.pages, [(1, "Oil the pump on Mondays.".to_owned())]);
}

#[test]
fn the_title_of_the_metadata_is_taken_and_that_of_a_file_is_not() {
    let titled = |title: &str| {
        let xml = format!(
            "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF><rdf:Description><dc:title><rdf:Alt>\
             <rdf:li xml:lang='x-default'>{title}</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"
        );
        let metadata = String::from_utf8(super::stream(xml.as_bytes())).unwrap();
        let content = upright(72.0, 720.0, "Text.");
        let made =
            Made { content: content.as_bytes(), catalog: "/Metadata 6 0 R", objects: &[&metadata], ..Made::default() };
        super::said(&made.bytes()).unwrap().title
    };
    assert_eq!(titled("Pumps &amp; valves").as_deref(), Some("Pumps & valves"));
    assert_eq!(titled("Microsoft Word - pumps.docx"), None);
    assert_eq!(titled(""), None);
}
