//! Fields of Word: an instruction, and what it was last replaced by. Only the numbers of pages are looked at.

/// Fields inside each other.
const MAX_DEPTH: usize = 64;

/// The fields that are open.
#[derive(Default)]
pub(super) struct Fields {
    /// Of each, whether it is the number of a page.
    open: Vec<bool>,
    pub(super) in_instruction: bool,
}

impl Fields {
    pub(super) fn mark(&mut self, kind: Option<&str>) {
        match kind {
            Some("begin") if self.open.len() < MAX_DEPTH => self.open.push(false),
            Some("end") => drop(self.open.pop()),
            _ => {}
        }
    }

    /// Takes the instruction of the innermost field; true when it is the number of a page.
    pub(super) fn instruction(&mut self, text: &str) -> bool {
        let page = is_page(text);
        if let Some(open) = self.open.last_mut() {
            *open |= page;
        }
        page
    }

    pub(super) fn is_page(&self) -> bool {
        self.open.contains(&true)
    }
}

/// Whether an instruction asks for a number of pages.
pub(super) fn is_page(instruction: &str) -> bool {
    let word = instruction.split_whitespace().next().unwrap_or_default();
    ["PAGE", "NUMPAGES", "SECTIONPAGES"].iter().any(|page| word.eq_ignore_ascii_case(page))
}
