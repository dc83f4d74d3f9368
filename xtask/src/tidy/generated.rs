//! Pages that are printed by a program: what is committed is what the program prints today.
use super::{Violation, output};
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// A page and the cargo command that prints it. A new generated page is a new line here.
struct Page {
    path: &'static str,
    cargo: &'static [&'static str],
}

const PAGES: &[Page] = &[Page {
    path: "docs/configuration.md",
    cargo: &["run", "--quiet", "--package=rookeeper", "--", "config-reference"],
}];

pub fn check(root: &Path) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    for page in PAGES {
        // A page comes with its printer: until it is committed there is nothing to compare.
        let Ok(committed) = std::fs::read_to_string(root.join(page.path)) else { continue };
        let printed = output(Command::new("cargo").args(page.cargo).current_dir(root))?;
        found.extend(compare(page, &committed, &printed));
    }
    Ok(found)
}

fn compare(page: &Page, committed: &str, printed: &str) -> Option<Violation> {
    if committed == printed {
        return None;
    }
    let same = committed.lines().zip(printed.lines()).take_while(|(old, new)| old == new).count();
    let command = format!("cargo {}", page.cargo.join(" "));
    let message = format!("is not what `{command}` prints: run `{command} > {}`", page.path);
    Some(Violation::new(page.path, same + 1, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_page_is_found() {
        let page = &PAGES[0];
        assert_eq!(compare(page, "a\nb\n", "a\nb\n"), None);
        let found = compare(page, "a\nb\n", "a\nc\n").unwrap();
        assert_eq!((found.path.as_str(), found.line), (page.path, 2));
        assert!(found.message.contains("config-reference"));
        assert!(compare(page, "a\n", "a\nb\n").is_some());
    }
}
