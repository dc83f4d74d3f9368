//! Two records of one plan, side by side.

use crate::conversation::{Plan, Record, Transcript};
use crate::text::hex;
use std::fmt::Write as _;

/// The first place where two servers differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Index into both records.
    pub at: usize,
    pub a: Option<Record>,
    pub b: Option<Record>,
}

/// `None` when the records are the same.
pub fn first_difference(a: &Transcript, b: &Transcript) -> Option<Difference> {
    let same = |x: &Record, y: &Record| x.place == y.place && x.who == y.who && x.text == y.text;
    let longer = a.records.len().max(b.records.len());
    (0..longer).find_map(|at| {
        let (x, y) = (a.records.get(at), b.records.get(at));
        match (x, y) {
            (Some(x), Some(y)) if same(x, y) => None,
            _ => Some(Difference { at, a: x.cloned(), b: y.cloned() }),
        }
    })
}

fn side(out: &mut String, name: &str, record: Option<&Record>) {
    match record {
        Some(r) => {
            let _ = writeln!(out, "  {name}: {} {}\n     hex {}", r.who, r.text, hex(&r.raw));
        }
        None => {
            let _ = writeln!(out, "  {name}: nothing more");
        }
    }
}

/// What a person needs in order to understand a difference: the steps before it, both answers, and how to see it
/// again.
pub fn report(plan: &Plan, difference: &Difference, names: [&str; 2]) -> String {
    let mut out = format!("difference in sequence {} of profile {}\n", plan.seed, plan.profile.name());
    let place = difference.a.as_ref().or(difference.b.as_ref()).map(|r| r.place);
    let upto = match place {
        Some(crate::conversation::Place::Begin) => 0,
        Some(crate::conversation::Place::Step(n)) => n + 1,
        _ => plan.steps.len(),
    };
    for (at, step) in plan.steps[..upto.min(plan.steps.len())].iter().enumerate() {
        let _ = writeln!(out, "{at:4} {step}");
    }
    if upto == plan.steps.len() {
        plan.last.iter().enumerate().for_each(|(at, step)| {
            let _ = writeln!(out, "last {at} {step}");
        });
    }
    let _ = writeln!(out, "at {place:?}, record {}:", difference.at);
    side(&mut out, names[0], difference.a.as_ref());
    side(&mut out, names[1], difference.b.as_ref());
    let _ = writeln!(
        out,
        "again: cargo run --release -p differential -- --start {} --profile {} --seed {} --sequences 1",
        names.join(","),
        plan.profile.name(),
        plan.seed
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Place;
    use crate::profile::Profile;

    fn transcript(texts: &[&str]) -> Transcript {
        let record = |text: &&str| Record {
            place: Place::Step(0),
            who: "client0".to_owned(),
            text: (*text).to_owned(),
            raw: vec![7],
        };
        Transcript { records: texts.iter().map(record).collect(), ..Transcript::default() }
    }

    #[test]
    fn the_first_difference_is_found_also_at_the_end() {
        let whole = transcript(&["a", "b", "c"]);
        assert_eq!(first_difference(&whole, &transcript(&["a", "b", "c"])), None);
        assert_eq!(first_difference(&whole, &transcript(&["a", "x", "c"])).map(|d| d.at), Some(1));
        let missing = first_difference(&whole, &transcript(&["a", "b"])).unwrap();
        assert_eq!((missing.at, missing.b), (2, None));
        assert_eq!(first_difference(&transcript(&["a"]), &whole).map(|d| d.at), Some(1));
    }

    #[test]
    fn a_report_shows_both_answers_and_how_to_see_them_again() {
        let plan = crate::generate::plan(Profile::Plain, 77);
        let difference = first_difference(&transcript(&["one"]), &transcript(&["two"])).unwrap();
        let text = report(&plan, &difference, ["apache", "rookeeper"]);
        for part in ["apache: client0 one", "rookeeper: client0 two", "hex 07", "--profile plain --seed 77"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
