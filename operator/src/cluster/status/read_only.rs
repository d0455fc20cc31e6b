//! Whether writes are refused: what the servers report, and what they were given. What only stands in the spec, while nothing is
//! carried out, refuses nothing.

use crate::api::{ConditionReason, ConditionType};
use crate::cluster::observed::Observed;
use crate::conditions::{Finding, State};

/// `is_asked`: what was rendered for the servers has them refuse writes.
pub(super) fn finding(is_asked: bool, observed: &Observed) -> Option<Finding> {
    let said = observed.reports.values().filter_map(|report| report.answer.said());
    let (refusing, all) = said.fold((0, 0), |(refusing, all), said| (refusing + usize::from(said.read_only), all + 1));
    let what = match (is_asked, refusing) {
        (false, 0) => return None,
        (false, _) => "servers that still refuse writes take them again within about a minute",
        (true, 1..) if refusing == all => {
            "writes are answered with 503 and Retry-After, as spec.readOnly asks; queries are answered"
        }
        (true, _) => "spec.readOnly reaches the servers within about a minute; those that report it refuse writes",
    };
    let message = format!("{what} ({refusing} of {all} servers report it)");
    Some(Finding::new(ConditionType::ReadOnly, State::True, ConditionReason::Requested, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{RagCluster, RagClusterStatus};
    use crate::cluster::fixtures::{applied, cluster, nothing, pass};
    use crate::cluster::status::{Outcome, Planned, status};
    use crate::conditions::find;

    /// The same cluster while its servers refuse writes or take them, and its world.
    fn serving(read_only: bool) -> (RagCluster, Observed) {
        let mut cluster = cluster("{}");
        cluster.spec.read_only = read_only;
        let world = applied(&cluster, &nothing());
        (cluster, world)
    }

    fn planned(cluster: &RagCluster, world: &Observed) -> Box<Planned> {
        let (valid, plan, _) = pass(cluster, world);
        Box::new(Planned::of(valid, plan))
    }

    fn message(status: &RagClusterStatus) -> Option<String> {
        find(&status.conditions, ConditionType::ReadOnly).map(|found| found.message.clone())
    }

    #[test]
    fn a_spec_that_is_not_carried_out_refuses_no_write() {
        let (mut cluster, world) = serving(false);
        cluster.spec.read_only = true;
        let paused = status(&cluster, &world, &Outcome::Paused { planned: planned(&cluster, &world) });
        let invalid = status(&cluster, &world, &Outcome::Invalid { problems: Vec::new() });
        for status in [paused, invalid] {
            assert_eq!(message(&status), None);
            assert!(!status.phase.contains("read-only"), "{}", status.phase);
        }
    }

    #[test]
    fn servers_that_refuse_writes_are_said_whatever_the_spec_asks_by_now() {
        let (mut cluster, world) = serving(true);
        cluster.spec.read_only = false;
        let paused = status(&cluster, &world, &Outcome::Paused { planned: planned(&cluster, &world) });
        assert!(message(&paused).unwrap().contains("(3 of 3 servers report it)"));
        assert_eq!(paused.phase, "Paused, serving, read-only");
        let planned = planned(&cluster, &world);
        let lagging = status(&cluster, &world, &Outcome::Applied { planned, corrections: Vec::new(), refused: None });
        assert!(message(&lagging).unwrap().starts_with("servers that still refuse writes"));
    }

    #[test]
    fn what_is_carried_out_is_said_with_how_far_it_is() {
        let (mut cluster, world) = serving(false);
        cluster.spec.read_only = true;
        let outcome = |cluster: &RagCluster, world: &Observed| Outcome::Applied {
            planned: planned(cluster, world),
            corrections: Vec::new(),
            refused: None,
        };
        let first = status(&cluster, &world, &outcome(&cluster, &world));
        assert!(message(&first).unwrap().starts_with("spec.readOnly reaches the servers"));
        let reached = applied(&cluster, &world);
        let reached = status(&cluster, &reached, &outcome(&cluster, &reached));
        assert!(message(&reached).unwrap().starts_with("writes are answered with 503"));
    }
}
