//! From the text of one setting to a checked value in the draft, by the option's kind.
//!
//! What the file says by name is read strictly: bad text is an error. What is a system property in Apache's server is
//! read leniently: bad text means the default, and a warning, because Apache starts with it without a word.

use std::borrow::Cow;

use crate::assemble::Draft;
use crate::convert::interval_ms;
use crate::finding::Findings;
use crate::gather::Setting;
use crate::java;
use crate::options::{Kind, Limits, Outside, Set, Spec};

/// A value whose kind and limits were checked.
enum Value {
    Number(i64),
    Float(f64),
    Bool(bool),
    Text(String),
}

/// What was wrong with a text.
struct Trouble {
    problem: String,
    advice: String,
    outside: Outside,
}

/// Puts a setting into the draft; the text that took effect comes back, `None` for the default.
pub(crate) fn apply(setting: &Setting, draft: &mut Draft, findings: &mut Findings) -> Option<String> {
    let Setting { spec, text, source, strict } = setting;
    let trouble = match value_of(spec, text, *strict) {
        Ok((value, warning)) => {
            if let Some((problem, advice)) = warning {
                findings.warn(source, problem, advice);
            }
            if looks_commented(text) && !spec.secret {
                let problem = format!("what looks like a comment is part of the value: {}={text}", spec.name);
                findings.warn(source, problem, "comments need lines of their own");
            }
            if let Some(quote) = quoted(text) {
                let shown = if spec.secret { String::new() } else { format!(": {}={text}", spec.name) };
                let problem = format!("the {quote} around the value of {} are part of it{shown}", spec.name);
                findings.warn(source, problem, "remove them: values need no quotes");
            }
            match check_limits(spec, value) {
                Ok((value, None)) => {
                    store(spec, &value, draft);
                    return Some(text.clone());
                }
                Ok((value, Some((problem, advice)))) => {
                    store(spec, &value, draft);
                    findings.warn(source, problem, advice);
                    return Some(value.to_text());
                }
                Err(trouble) => trouble,
            }
        }
        Err(trouble) => trouble,
    };
    // With the default in its place, an error does not bring others with it.
    apply_default(spec, draft);
    if trouble.outside == Outside::Refused {
        findings.error(source, trouble.problem, trouble.advice);
    } else {
        let default = if spec.default_rule.is_empty() { spec.default } else { spec.default_rule };
        let problem = format!("{}, so the default ({default}) is used", trouble.problem);
        findings.warn(source, problem, trouble.advice);
    }
    None
}

/// Puts an option's default into the draft. Derived defaults follow when everything is known.
pub(crate) fn apply_default(spec: &Spec, draft: &mut Draft) {
    if !spec.default.is_empty()
        && let Ok((value, _)) = value_of(spec, spec.default, true)
    {
        store(spec, &value, draft);
    }
}

fn store(spec: &Spec, value: &Value, draft: &mut Draft) {
    match (spec.set, value) {
        (Set::Number(set), Value::Number(value)) => set(draft, *value),
        (Set::Float(set), Value::Float(value)) => set(draft, *value),
        (Set::Bool(set), Value::Bool(value)) => set(draft, *value),
        (Set::Text(set), Value::Text(value)) => set(draft, value),
        (Set::Nothing, _) => {}
        (_, _) => unreachable!("the table gives {} a setter of another kind", spec.name),
    }
}

impl Value {
    fn to_text(&self) -> String {
        match self {
            Value::Number(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Text(value) => value.clone(),
        }
    }
}

type Warning = Option<(String, String)>;

fn value_of(spec: &Spec, text: &str, strict: bool) -> Result<(Value, Warning), Trouble> {
    let (name, shown) = (spec.name, if spec.secret { "…".into() } else { as_written(text) });
    let refused = |what: &str, advice: &str| Trouble {
        problem: format!("{name}={shown} {what}"),
        advice: advice_for(text, advice),
        outside: Outside::Refused,
    };
    let bad = |what: &str, advice: &str| Trouble {
        outside: if strict { Outside::Refused } else { Outside::Default },
        ..refused(what, advice)
    };
    let fine = |value| Ok((value, None));
    match spec.kind {
        Kind::Int | Kind::Long => {
            let number = if strict { java::parse_decimal(text) } else { java::decode(text) };
            let fits = |number: &i64| spec.kind == Kind::Long || i32::try_from(*number).is_ok();
            match number {
                None => Err(bad("is not a whole number", &number_advice(spec))),
                Some(number) if !fits(&number) => Err(bad("does not fit into 32 bits", &number_advice(spec))),
                Some(number) => fine(Value::Number(number)),
            }
        }
        Kind::Port => match java::parse_decimal(text).filter(|port| (0..=65535).contains(port)) {
            Some(port) => fine(Value::Number(port)),
            None => Err(bad("is not a port", "write a number from 0 to 65535")),
        },
        Kind::Float => match text.parse::<f64>().ok().filter(|number| number.is_finite()) {
            Some(number) => fine(Value::Float(number)),
            None => Err(bad("is not a number", "write digits with a decimal point")),
        },
        Kind::Interval => match interval_ms(text) {
            Some(ms) => fine(Value::Number(ms)),
            None => Err(bad(
                "is not a number of hours",
                "write hours, or a number with ms, s, m, h or d behind it",
            )),
        },
        Kind::Bool => {
            bool_of(spec, text, strict).map_err(|()| bad("is neither true nor false", "write one of the two"))
        }
        Kind::YesNo { deciding } => Ok(yes_or_no(spec, text, deciding)),
        Kind::Text | Kind::Family => fine(Value::Text(text.to_owned())),
        Kind::Path => path_of(spec, text).ok_or_else(|| refused("names no folder or file", "write its path")),
        Kind::Choice { words, otherwise } => {
            match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                Some(word) => fine(Value::Text((*word).to_owned())),
                None => {
                    let listed: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
                    let advice = format!("write one of: {}", listed.join(", "));
                    Err(Trouble { outside: otherwise, ..refused("is not known", &advice) })
                }
            }
        }
        Kind::Class(known) => class_of(spec, text, known).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|(class, _)| *class).collect();
            let advice = if names.is_empty() {
                "remove it".to_owned()
            } else {
                format!("remove it, or write one of: {}", names.join(", "))
            };
            refused("is not a class known here, and Java classes cannot be loaded", &advice)
        }),
    }
}

fn class_of(spec: &Spec, text: &str, known: &[(&str, &str)]) -> Option<(Value, Warning)> {
    let found = known.iter().any(|(class, _)| *class == text);
    (found || text == spec.default).then(|| (Value::Text(text.to_owned()), None))
}

fn bool_of(spec: &Spec, text: &str, strict: bool) -> Result<(Value, Warning), ()> {
    match java::strict_bool(text) {
        Some(value) => Ok((Value::Bool(value), None)),
        None if strict => Err(()),
        None => {
            let problem = format!("{}={text} counts as false: only true means true", spec.name);
            Ok((Value::Bool(false), Some((problem, "write true or false".to_owned()))))
        }
    }
}

fn yes_or_no(spec: &Spec, text: &str, deciding: &str) -> (Value, Warning) {
    let yes = if deciding == "yes" { text == "yes" } else { text != "no" };
    let meaning = if yes { "yes" } else { "no" };
    let warning = (text != meaning).then(|| {
        let problem = format!(
            "{}={text} counts as {meaning}: only {deciding}, written so, means {deciding}",
            spec.name
        );
        (problem, "write yes or no".to_owned())
    });
    (Value::Bool(yes), warning)
}

fn path_of(spec: &Spec, text: &str) -> Option<(Value, Warning)> {
    if text.is_empty() {
        return None;
    }
    let name = spec.name;
    let warning = if quoted(text).is_some() || text.starts_with('/') || text.starts_with("./") {
        None
    } else if text.starts_with('~') {
        let problem = format!(
            "{name}={text} names a folder called {}, not a home folder: only a shell knows what ~ means",
            text.split('/').next().unwrap_or(text)
        );
        Some((problem, "write the whole path".to_owned()))
    } else {
        let problem = format!("{name}={text} depends on the folder in which the server is started");
        Some((problem, format!("write the whole path, or ./{text} if that is meant")))
    };
    Some((Value::Text(text.to_owned()), warning))
}

fn number_advice(spec: &Spec) -> String {
    let example = if spec.default.is_empty() { "10" } else { spec.default };
    if spec.unit.is_empty() {
        format!("write digits only, such as {example}")
    } else {
        format!("write {} as digits only, such as {example}", spec.unit)
    }
}

/// What stands around a value as in a shell or in YAML, if it does.
fn quoted(text: &str) -> Option<&'static str> {
    let within = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    if within('"') {
        Some("double quotes")
    } else if within('\'') {
        Some("single quotes")
    } else {
        None
    }
}

fn looks_commented(text: &str) -> bool {
    [" #", "\t#", " //"].iter().any(|sign| text.contains(sign))
}

/// A value for people: bytes that were read as ISO 8859-1 but are UTF-8 are shown as such.
fn as_written(text: &str) -> Cow<'_, str> {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    match bytes.map(String::from_utf8) {
        Some(Ok(written)) => written.into(),
        _ => text.into(),
    }
}

/// A comment behind a value is the most frequent cause of bad values, so it is named first; then quotes.
fn advice_for(text: &str, advice: &str) -> String {
    if looks_commented(text) {
        format!("comments need lines of their own: {advice}")
    } else if quoted(text).is_some() {
        format!("the quotes are part of the value: {advice}")
    } else {
        advice.to_owned()
    }
}

/// Applies the limits: the value to use, with what is to be told when it was changed.
fn check_limits(spec: &Spec, value: Value) -> Result<(Value, Warning), Trouble> {
    let Some(Limits { min, max, outside }) = spec.limits else { return Ok((value, None)) };
    let (inside, clamped) = match &value {
        Value::Number(number) => ((min..=max).contains(number), Value::Number(*number.clamp(&min, &max))),
        Value::Float(number) => {
            let (min, max) = (min as f64, max as f64);
            ((min..=max).contains(number), Value::Float(number.clamp(min, max)))
        }
        Value::Bool(_) | Value::Text(_) => return Ok((value, None)),
    };
    if inside {
        return Ok((value, None));
    }
    let text = value.to_text();
    let limits = if max == i64::MAX {
        format!("at least {min}")
    } else if min == i64::MIN {
        format!("at most {max}")
    } else if min == max {
        format!("{min}")
    } else {
        format!("from {min} to {max}")
    };
    let problem = format!("{}={text} is outside the limits", spec.name);
    match outside {
        Outside::Clamped => {
            let problem = format!("{problem}, so {} is used", clamped.to_text());
            Ok((clamped, Some((problem, format!("it must be {limits}")))))
        }
        Outside::Refused | Outside::Default => {
            Err(Trouble { problem, advice: format!("it must be {limits}"), outside })
        }
    }
}
