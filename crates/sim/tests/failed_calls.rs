//! Each storage call of a script fails once, in every way: the server ends, and its next start finds everything that
//! was acknowledged.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use journal::recover;
use sim::disk::{Fault, Image};
use sim::run::{Acknowledged, Pace, check, examine, recover_options, run};
use sim::script::Script;
use sim::{Rng, SimDisk};
use std::sync::Arc;

const FAULTS: [Fault; 4] = [Fault::Eio, Fault::Full, Fault::ShortWrite, Fault::SyncDropsPages];

fn pace() -> Pace {
    Pace { seed: 8, prealloc_bytes: 8 << 10, batch: 40, snapshot: 50, roll: 30, purge: 30 }
}

/// Runs into the fault; the disk afterwards, and what was acknowledged. `None` when the script ended before.
fn run_into(script: &Script, call: u64, fault: Fault) -> Option<(SimDisk, i64)> {
    let disk = SimDisk::new(call.is_multiple_of(2));
    let acknowledged = Acknowledged::default();
    disk.fail_call(call, fault);
    let result = run(&disk, script, pace(), &acknowledged);
    if result.is_ok() && disk.calls() < call {
        return None;
    }
    disk.heal();
    Some((disk, acknowledged.get()))
}

#[test]
fn every_call_failing_once_loses_nothing_acknowledged() {
    let script = Script::generate(21, 500);
    for fault in FAULTS {
        let mut swept = 0;
        for call in 1.. {
            let Some((disk, acked)) = run_into(&script, call, fault) else { break };
            swept += 1;
            let left = disk.image();
            let starts = [left.clone(), left.power_cut(&mut Rng::new(call), true)];
            for (i, image) in starts.into_iter().enumerate() {
                if let Err(e) = examine(image, &script, acked, |_| {}) {
                    panic!("{fault:?} at call {call}, start {i}: {e}");
                }
            }
        }
        println!("{fault:?}: {swept} calls");
        assert!(swept > 250, "{swept}");
    }
}

/// After the fault, the server goes on from where the disk stands, to the end of the script.
#[test]
fn a_server_restarted_after_a_fault_goes_on() {
    let script = Script::generate(22, 120);
    for fault in FAULTS {
        for call in (1..).step_by(7) {
            let Some((disk, acked)) = run_into(&script, call, fault) else { break };
            let acknowledged = Acknowledged::default();
            acknowledged.raise(acked);
            let again = SimDisk::from_image(disk.image());
            let tree = run(&again, &script, Pace { seed: call, ..pace() }, &acknowledged)
                .unwrap_or_else(|e| panic!("{fault:?} at call {call}: {e}"));
            check(&tree, &script, script.len() as i64).unwrap();
            let end = again.image().power_cut(&mut Rng::new(1), false);
            assert_eq!(examine(end, &script, script.len() as i64, |_| {}), Ok(script.len() as i64));
        }
    }
}

#[test]
fn a_stall_only_takes_time() {
    let script = Script::generate(23, 60);
    let disk = SimDisk::new(false);
    for call in 1..200 {
        disk.fail_call(call, Fault::Stall(1000));
    }
    let tree = run(&disk, &script, pace(), &Acknowledged::default()).unwrap();
    check(&tree, &script, 60).unwrap();
    assert_eq!(disk.clock_ms(), 1000 * disk.calls().min(199));
}

fn torn_image(script: &Script) -> (Image, i64) {
    let disk = SimDisk::new(false);
    let acknowledged = Acknowledged::default();
    let worst = Arc::new(std::sync::Mutex::new(None));
    let (sink, acked) = (worst.clone(), acknowledged.clone());
    disk.observe(move |call, image| {
        if call.number == 150 {
            let cut = image.power_cut(&mut Rng::new(2), true);
            *sink.lock().unwrap() = Some((cut, acked.get()));
        }
    });
    run(&disk, script, Pace { batch: 60, ..pace() }, &acknowledged).unwrap();
    let found = worst.lock().unwrap().take();
    found.unwrap()
}

/// Recovery itself meets the fault; it may fail or fall back, but neither lose nor spoil anything.
#[test]
fn a_recovery_that_fails_changes_nothing_for_the_worse() {
    let script = Script::generate(24, 300);
    let (image, acked) = torn_image(&script);
    for fault in FAULTS {
        for call in 1.. {
            let disk = SimDisk::from_image(image.clone());
            disk.fail_call(call, fault);
            let result = recover(&disk, &recover_options());
            if disk.calls() < call {
                assert!(call > 10 && result.is_ok());
                break;
            }
            if let Ok(recovered) = result {
                check(&recovered.tree, &script, acked).unwrap();
            }
            disk.heal();
            examine(disk.image(), &script, acked, |_| {})
                .unwrap_or_else(|e| panic!("{fault:?} at {call}: {e}"));
        }
    }
}
