//! What holds of every format of lines, whatever comes.

use proptest::prelude::*;

use super::{Format, tried};

/// Beginnings of lines that mean something to one parser or another.
fn scrap() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "====\n",
        "----\n",
        "....\n",
        "****\n",
        "|===\n",
        "~~~~\n",
        "= ",
        "== ",
        "=== ",
        "* ",
        "- ",
        ". ",
        ":a: b\n",
        "[source]\n",
        "[[a]]\n",
        ".. note:: ",
        ".. code-block:: sh\n",
        "..\n",
        "::\n",
        "+--+\n",
        "== ==\n",
        "    ",
        "\t",
        "\\section{",
        "\\section{a}\n",
        "\\begin{verbatim}\n",
        "\\end{verbatim}\n",
        "\\title{x}",
        "\\item ",
        "}",
        "{",
        "\\",
        "fn a() {\n",
        "class A:\n",
        "[a]\n",
        "a:\n",
        "\n",
        "\n\n",
        "\r\n",
        " ",
        "é日本語",
        "👩‍👩‍👧",
    ]);
    prop_oneof![
        6 => known.prop_map(str::to_owned),
        3 => "word[a-z]{1,5}( |\n)",
        1 => (1_usize..400).prop_map(|n| "x".repeat(n)),
        1 => "\\PC{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_pieces_decide_nothing_and_every_visible_word_is_in_a_chunk_once_and_in_order(
        scraps in prop::collection::vec(scrap(), 0..60),
        format in prop::sample::select(vec![Format::Text, Format::Rst, Format::Adoc, Format::Tex, Format::Code]),
        piece in 1_usize..100,
        tokens in 5_usize..60,
    ) {
        let text = scraps.concat();
        let read = tried::attempt(format, &text, piece, tokens).unwrap();
        prop_assert_eq!(&read, &tried::attempt(format, &text, usize::MAX, tokens).unwrap());
        let written: usize = read.drafts.iter().map(|draft| draft.text.len()).sum();
        prop_assert!(written <= text.len() + 10, "{written} of {}", text.len());
        let words = |text: &str| -> Vec<String> {
            text.split(|c: char| !c.is_ascii_lowercase()).filter(|word| word.starts_with("word")).map(str::to_owned).collect()
        };
        // A comment is no text, and a line of signs may make one.
        if !text.contains(['%', '/']) && !text.contains("..") && !text.contains(':') {
            prop_assert_eq!(words(&read.text()), words(&text));
        }
    }
}
