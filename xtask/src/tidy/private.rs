//! No path and no name of a private machine in any tracked file: the project speaks of itself alone.
use super::Violation;

/// Beginnings of paths that exist on one machine only. Written in halves, so that this file passes.
const PLACES: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Names that many machines have, or that are words.
const COMMON_NAMES: [&str; 6] = ["localhost", "debian", "ubuntu", "server", "runner", "docker"];

pub fn check(path: &str, text: &str, machines: &[String]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(place) = PLACES.iter().find(|place| holds_path(line, place)) {
            found.push(Violation::new(path, number + 1, format!("a path of a private machine: {place}…")));
        }
        if let Some(machine) = machines.iter().find(|machine| holds_word(line, machine)) {
            found.push(Violation::new(path, number + 1, format!("the name of a machine: {machine}")));
        }
    }
    found
}

/// The name of this machine, unless it says nothing.
pub fn machine_names() -> Vec<String> {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_lowercase();
    let telling = name.len() > 3 && !COMMON_NAMES.contains(&name.as_str());
    telling.then_some(name).into_iter().collect()
}

/// Whether the path starts in this line, and is not the middle of another (`../…`, `https://host/…`).
fn holds_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || "._-}/".contains(letter))
    })
}

fn holds_word(line: &str, word: &str) -> bool {
    let line = line.to_lowercase();
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let inside = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric());
        !inside(before) && !inside(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_machine_are_found() {
        for place in PLACES {
            let text = format!("fine\nsee {place}x/notes\n");
            let found = check("a.md", &text, &[]);
            assert_eq!((found.len(), found[0].line), (1, 2), "{place}");
            assert_eq!(check("a.md", &format!("\"{place}x\""), &[]).len(), 1);
            assert_eq!(check("a.md", &format!("https://example.org{place}x, ..{place}x"), &[]), []);
        }
    }

    #[test]
    fn the_machine_itself_is_found() {
        let machines = ["buildbox7".to_owned()];
        assert_eq!(check("a.md", "measured on BuildBox7.", &machines).len(), 1);
        assert_eq!(check("a.md", "measured on buildbox71", &machines), []);
    }
}
