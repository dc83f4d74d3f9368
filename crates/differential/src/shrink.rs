//! Makes a failing sequence short: leaves out steps as long as the two servers still differ.

use crate::conversation::Plan;
use crate::step::Step;
use anyhow::Result;

/// Smaller plans that are still plans: `size` steps, or single requests, left out from `at` on.
fn without(plan: &Plan, at: usize, size: usize) -> Plan {
    let mut smaller = plan.clone();
    let end = (at + size).min(smaller.steps.len());
    smaller.steps.drain(at..end);
    smaller
}

/// The plan without one of the requests of a pipelined step.
fn without_request(plan: &Plan, at: usize, request: usize) -> Option<Plan> {
    let mut smaller = plan.clone();
    match smaller.steps.get_mut(at) {
        Some(Step::Send { requests, .. }) if requests.len() > 1 && request < requests.len() => {
            requests.remove(request);
            Some(smaller)
        }
        _ => None,
    }
}

/// The shortest plan found with at most `tries` calls of `differs`, which does a plan to both servers.
pub fn shrink(plan: &Plan, mut tries: u32, mut differs: impl FnMut(&Plan) -> Result<bool>) -> Result<Plan> {
    let mut best = plan.clone();
    let mut size = best.steps.len().div_ceil(2);
    while size > 0 {
        let mut at = best.steps.len().saturating_sub(size);
        loop {
            if tries == 0 {
                return Ok(best);
            }
            tries -= 1;
            let smaller = without(&best, at, size);
            if smaller.steps.len() < best.steps.len() && differs(&smaller)? {
                best = smaller;
            }
            if at == 0 {
                break;
            }
            at = at.saturating_sub(size);
        }
        size /= 2;
    }
    shrink_requests(best, tries, differs)
}

fn shrink_requests(
    mut best: Plan,
    mut tries: u32,
    mut differs: impl FnMut(&Plan) -> Result<bool>,
) -> Result<Plan> {
    for at in (0..best.steps.len()).rev() {
        let mut request = 0;
        while let Some(smaller) = without_request(&best, at, request) {
            if tries == 0 {
                return Ok(best);
            }
            tries -= 1;
            if differs(&smaller)? {
                best = smaller;
            } else {
                request += 1;
            }
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use crate::step::Request;
    use wire::OpCode;

    fn has(plan: &Plan, xid: i32) -> bool {
        plan.steps
            .iter()
            .any(|s| matches!(s, Step::Send { requests, .. } if requests.iter().any(|r| r.xid == xid)))
    }

    #[test]
    fn only_what_matters_is_left() {
        let request = |xid| Request::new(xid, OpCode::Ping, Vec::new());
        let send = |xids: &[i32]| Step::Send {
            client: 0,
            piece: 0,
            requests: xids.iter().map(|x| request(*x)).collect(),
        };
        let mut steps: Vec<Step> = (0..60).map(|n| send(&[n])).collect();
        steps.push(send(&[100, 101, 102]));
        let plan = Plan { profile: Profile::Full, seed: 1, clients: 3, steps, last: Vec::new() };
        let shortest = shrink(&plan, 500, |p| Ok(has(p, 17) && has(p, 101))).unwrap();
        assert_eq!(shortest.steps, [send(&[17]), send(&[101])]);
    }
}
