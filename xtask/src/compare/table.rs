//! The results as a Markdown table: both servers, their ratio, what was to be reached, and the share of the floor.

use super::rows::{Results, Row};
use serde_json::Value;
use std::fmt::Write;

/// What is to be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bar {
    /// Ours is at least so many times Apache's.
    Times(f64),
    /// Ours takes at most this part of Apache's time: 5 for a fifth.
    Faster(f64),
    /// Ours is at most this.
    AtMost(f64),
    None,
}

/// How a figure is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    PerSecond,
    Ms,
    Seconds,
    Mib,
    Kib,
    Count,
    Ratio,
}

/// One line of the table.
#[derive(Debug)]
pub struct Metric {
    row: Row,
    label: &'static str,
    /// Where the figure lies in the report, and what it is multiplied by to fit the unit.
    pointer: &'static str,
    scale: f64,
    unit: Unit,
    bar: Bar,
}

const CPU: &str = "/median/server/ops_per_cpu_s";
const P50: &str = "/median/latency/p50_us";
const P99: &str = "/median/latency/p99_us";
const RATE: &str = "/median/ops_per_s";
const RESIDENT: &str = "/median/server/resident_kb";

const fn metric(
    row: Row,
    label: &'static str,
    pointer: &'static str,
    scale: f64,
    unit: Unit,
    bar: Bar,
) -> Metric {
    Metric { row, label, pointer, scale, unit, bar }
}

#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    metric(Row::Reads, "reads, 16 × 32: per server CPU second", CPU, 1.0, Unit::PerSecond, Bar::Times(12.0)),
    metric(Row::Reads, "— per second, server and load on the same processors", RATE, 1.0, Unit::PerSecond, Bar::None),
    metric(Row::Reads, "— p99 latency", P99, 1e-3, Unit::Ms, Bar::None),
    metric(Row::ReadsOne, "reads, 1 × 1, on one processor: per server CPU second", CPU, 1.0, Unit::PerSecond, Bar::Times(7.0)),
    metric(Row::ReadsOne, "— median latency", P50, 1e-3, Unit::Ms, Bar::AtMost(0.03)),
    metric(Row::ReadsOneFree, "reads, 1 × 1, placed by the scheduler: per server CPU second", CPU, 1.0, Unit::PerSecond, Bar::Times(7.0)),
    metric(Row::ReadsOneFree, "— median latency", P50, 1e-3, Unit::Ms, Bar::AtMost(0.03)),
    metric(Row::Writes, "durable writes, 16 × 32: per server CPU second", CPU, 1.0, Unit::PerSecond, Bar::Times(8.0)),
    metric(Row::Writes, "— per second", RATE, 1.0, Unit::PerSecond, Bar::None),
    metric(Row::Writes, "— p99 latency", P99, 1e-3, Unit::Ms, Bar::None),
    metric(Row::WritesOne, "durable writes, 1 × 1: per server CPU second", CPU, 1.0, Unit::PerSecond, Bar::None),
    metric(Row::WritesOne, "— median latency", P50, 1e-3, Unit::Ms, Bar::None),
    metric(Row::Mixed, "90 % reads, 10 % durable writes, 16 × 32: per server CPU second", CPU, 1.0, Unit::PerSecond, Bar::None),
    metric(Row::Creates, "creates: per second", RATE, 1.0, Unit::PerSecond, Bar::Times(5.0)),
    metric(Row::Creates, "— per server CPU second", CPU, 1.0, Unit::PerSecond, Bar::None),
    metric(Row::Creates, "— resident memory after them", RESIDENT, 1.0 / 1024.0, Unit::Mib, Bar::AtMost(240.0)),
    metric(Row::Restart, "restart on that data until a read is answered", "/figures/restart_s", 1.0, Unit::Seconds, Bar::AtMost(1.0)),
    metric(Row::Watch, "one change seen by the last watcher: median", "/figures/last_ms_median", 1.0, Unit::Ms, Bar::AtMost(15.0)),
    metric(Row::Watch, "— worst", "/figures/last_ms_max", 1.0, Unit::Ms, Bar::None),
    metric(Row::Storm, "sessions opened at once: until all are open", "/figures/all_open_s", 1.0, Unit::Seconds, Bar::AtMost(2.0)),
    metric(Row::Storm, "— connections refused or dropped", "/figures/refused", 1.0, Unit::Count, Bar::AtMost(0.0)),
    metric(Row::Storm, "— attempts without an answer for 5 s", "/figures/unanswered", 1.0, Unit::Count, Bar::AtMost(0.0)),
    metric(Row::Storm, "— connections delayed by a lost first packet", "/figures/delayed", 1.0, Unit::Count, Bar::None),
    metric(Row::Storm, "— resident memory of each when idle", "/figures/resident_kb_per_session", 1.0, Unit::Kib, Bar::AtMost(8.0)),
    metric(Row::Snapshot, "p99.9 of writes while a snapshot is written ÷ without", "/figures/p999_ratio", 1.0, Unit::Ratio, Bar::AtMost(2.0)),
    metric(Row::Snapshot, "— p99.9 while", "/figures/p999_us_with", 1e-3, Unit::Ms, Bar::None),
    metric(Row::Snapshot, "— p99.9 without", "/figures/p999_us_without", 1e-3, Unit::Ms, Bar::None),
];

const LEADER_P50: &str = "/leader/median/latency/p50_us";
const LEADER_P99: &str = "/leader/median/latency/p99_us";
const FOLLOWER_P50: &str = "/follower/median/latency/p50_us";
const FOLLOWER_P99: &str = "/follower/median/latency/p99_us";

/// Three servers as one service: processor time and memory are those of all together.
#[rustfmt::skip]
pub const ENSEMBLE: &[Metric] = &[
    metric(Row::Writes, "durable writes, 16 × 32 over the three: per CPU second of all servers", CPU, 1.0, Unit::PerSecond, Bar::Times(8.0)),
    metric(Row::Writes, "— per second, servers and load on the same processors", RATE, 1.0, Unit::PerSecond, Bar::None),
    metric(Row::Writes, "— p99 latency", P99, 1e-3, Unit::Ms, Bar::None),
    metric(Row::Reads, "reads, 16 × 32 over the three: per CPU second of all servers", CPU, 1.0, Unit::PerSecond, Bar::Times(20.0)),
    metric(Row::Reads, "— per second, servers and load on the same processors", RATE, 1.0, Unit::PerSecond, Bar::None),
    metric(Row::Mixed, "90 % reads, 10 % durable writes, 16 × 32 over the three: per CPU second of all servers", CPU, 1.0, Unit::PerSecond, Bar::Times(10.0)),
    metric(Row::Mixed, "— per second, servers and load on the same processors", RATE, 1.0, Unit::PerSecond, Bar::None),
    metric(Row::Mixed, "— resident memory of all servers", RESIDENT, 1.0 / 1024.0, Unit::Mib, Bar::None),
    metric(Row::WritesOne, "one write at a time, sent to the leader: median latency", LEADER_P50, 1e-3, Unit::Ms, Bar::AtMost(0.2)),
    metric(Row::WritesOne, "— p99 latency", LEADER_P99, 1e-3, Unit::Ms, Bar::None),
    metric(Row::WritesOne, "one write at a time, sent to a follower: median latency", FOLLOWER_P50, 1e-3, Unit::Ms, Bar::AtMost(0.2)),
    metric(Row::WritesOne, "— p99 latency", FOLLOWER_P99, 1e-3, Unit::Ms, Bar::None),
    metric(Row::Kill, "kill -9 of the leader: longest gap in acknowledged writes, worst of all kills", "/figures/worst_ms", 1.0, Unit::Ms, Bar::AtMost(200.0)),
    metric(Row::Kill, "— median of all kills", "/figures/median_ms", 1.0, Unit::Ms, Bar::None),
    metric(Row::Kill, "— kills", "/figures/kills", 1.0, Unit::Count, Bar::None),
    metric(Row::Kill, "— sessions expired", "/figures/sessions_expired", 1.0, Unit::Count, Bar::AtMost(0.0)),
    metric(Row::Join, "a member with an empty folder joins 1 M znodes of 100 bytes: until it serves", "/figures/join_s", 1.0, Unit::Seconds, Bar::Faster(5.0)),
];

impl Metric {
    fn of(&self, results: &Results) -> Option<f64> {
        results.get(&self.row)?.pointer(self.pointer).and_then(Value::as_f64).map(|value| value * self.scale)
    }

    fn failed(&self, results: &Results) -> bool {
        results.get(&self.row).is_some_and(|report| report.get("failed").is_some())
    }

    fn shown(&self, value: Option<f64>) -> String {
        let Some(value) = value else { return "–".to_owned() };
        match self.unit {
            Unit::PerSecond => grouped(value),
            Unit::Ms if value < 1.0 => format!("{value:.3} ms"),
            Unit::Ms => format!("{value:.1} ms"),
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Mib => format!("{value:.0} MiB"),
            Unit::Kib => format!("{value:.1} KiB"),
            Unit::Count => format!("{value:.0}"),
            Unit::Ratio => format!("{value:.2}"),
        }
    }

    /// What is to be reached, and whether it is.
    fn judged(&self, apache: Option<f64>, ours: Option<f64>) -> String {
        let (text, reached) = match self.bar {
            Bar::None => return String::new(),
            Bar::Times(times) => {
                (format!("≥ {times:.0}×"), apache.zip(ours).map(|(apache, ours)| ours >= times * apache))
            }
            Bar::Faster(times) => {
                let reached = apache.zip(ours).map(|(apache, ours)| ours * times <= apache);
                (format!("≥ {times:.0}× faster"), reached)
            }
            Bar::AtMost(limit) => (format!("≤ {}", self.shown(Some(limit))), ours.map(|ours| ours <= limit)),
        };
        match reached {
            Some(true) => format!("{text} ✓"),
            Some(false) => format!("{text} ✗"),
            None => text,
        }
    }

    /// Ours as a share of the floor: how near it is to what the system allows.
    fn floor_share(&self, ours: Option<f64>, floor: Option<f64>) -> String {
        let Some(floor) = floor else { return String::new() };
        let share = match self.unit {
            Unit::PerSecond => ours.map(|ours| ours / floor),
            Unit::Ms | Unit::Seconds | Unit::Mib | Unit::Kib | Unit::Count | Unit::Ratio => {
                ours.map(|ours| floor / ours)
            }
        };
        let share = share.map_or(String::new(), |share| format!(" ({:.0} %)", share * 100.0));
        format!("{}{share}", self.shown(Some(floor)))
    }
}

/// The table; columns are named after the servers, and there is one for the floor if there is a floor.
pub fn render(
    metrics: &[Metric],
    names: (&str, &str),
    apache: &Results,
    ours: &Results,
    floor: Option<&Results>,
) -> String {
    let (head, line) = if floor.is_some() { (" floor (our share) |", "---:|") } else { ("", "") };
    let mut text = format!(
        "| work | {} | {} | ratio | to reach |{head}\n|---|---:|---:|---:|---:|{line}\n",
        names.0, names.1
    );
    for metric in metrics {
        let (a, b) = (metric.of(apache), metric.of(ours));
        if a.is_none() && b.is_none() && !metric.failed(apache) && !metric.failed(ours) {
            continue;
        }
        let ratio = a.zip(b).filter(|(a, _)| *a != 0.0).map(|(a, b)| b / a);
        let ratio = ratio.map_or(String::new(), |ratio| {
            if ratio >= 0.1 { format!("{ratio:.2}×") } else { format!("{ratio:.4}×") }
        });
        let bar = metric.judged(a, b);
        let share = floor.map(|floor| format!(" {} |", metric.floor_share(b, metric.of(floor))));
        let share = share.unwrap_or_default();
        let cell =
            |results, value| if metric.failed(results) { "failed".to_owned() } else { metric.shown(value) };
        let (a, b) = (cell(apache, a), cell(ours, b));
        writeln!(text, "| {} | {a} | {b} | {ratio} | {bar} |{share}", metric.label)
            .expect("writing to a string cannot fail");
    }
    text
}

/// `1234567` as `1,234,567`.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn results(rate: f64, p50_us: f64) -> Results {
        let report =
            json!({ "median": { "server": { "ops_per_cpu_s": rate }, "latency": { "p50_us": p50_us } } });
        Results::from([(Row::ReadsOne, report)])
    }

    #[test]
    fn figures_are_compared_judged_and_set_against_the_floor() {
        let text = render(
            METRICS,
            ("A", "B"),
            &results(10_000.0, 70.0),
            &results(80_000.0, 35.0),
            Some(&results(100_000.0, 14.0)),
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[2].ends_with("| 10,000 | 80,000 | 8.00× | ≥ 7× ✓ | 100,000 (80 %) |"), "{text}");
        assert!(
            lines[3].ends_with("| 0.070 ms | 0.035 ms | 0.50× | ≤ 0.030 ms ✗ | 0.014 ms (40 %) |"),
            "{text}"
        );
    }

    #[test]
    fn an_ensemble_has_no_floor_and_less_time_is_better() {
        let join = |seconds: f64| Results::from([(Row::Join, json!({ "figures": { "join_s": seconds } }))]);
        let text = render(ENSEMBLE, ("A", "B"), &join(10.0), &join(2.0), None);
        assert!(text.lines().next().unwrap().ends_with("| to reach |"), "{text}");
        assert!(text.ends_with("| 10.00 s | 2.00 s | 0.20× | ≥ 5× faster ✓ |\n"), "{text}");
        assert!(render(ENSEMBLE, ("A", "B"), &join(10.0), &join(2.1), None).contains("faster ✗"));
    }

    #[test]
    fn a_failed_row_is_shown_as_such() {
        let failed = Results::from([(Row::ReadsOne, json!({ "failed": "why" }))]);
        let text = render(METRICS, ("A", "B"), &results(10.0, 1.0), &failed, Some(&Results::new()));
        assert!(text.contains("| 10 | failed |  | ≥ 7× |  |"), "{text}");
    }

    #[test]
    fn a_missing_side_is_shown_as_such() {
        let text = render(METRICS, ("A", "B"), &results(10.0, 1.0), &Results::new(), Some(&Results::new()));
        assert!(text.contains("| 10 | – |  | ≥ 7× |  |"), "{text}");
    }
}
