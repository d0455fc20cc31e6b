//! Classes of routes: a closed set, so that whoever reads the counters may add up what it cares for, whichever routes there are.

/// What kind of work a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RouteClass {
    /// Questions, and passages without an answer.
    Query,
    /// Documents that come in, the jobs with them, and those that are no longer there.
    Ingest,
    /// Documents that are stored.
    Documents,
    /// Conversations, and what people think of answers.
    Sessions,
    /// How well the search finds.
    Evaluate,
    /// OpenAI's API.
    V1,
    /// The Model Context Protocol.
    Mcp,
    /// What administrators look at and decide.
    Admin,
    /// Probes.
    Health,
    /// What the scraper and the operator ask.
    Management,
    /// The description of the API, paths that do not exist, and who was refused a connection.
    Other,
}

impl RouteClass {
    /// Every class.
    pub(super) const ALL: [Self; 11] = [
        Self::Query,
        Self::Ingest,
        Self::Documents,
        Self::Sessions,
        Self::Evaluate,
        Self::V1,
        Self::Mcp,
        Self::Admin,
        Self::Health,
        Self::Management,
        Self::Other,
    ];

    /// The name, as readers know it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Ingest => "ingest",
            Self::Documents => "documents",
            Self::Sessions => "sessions",
            Self::Evaluate => "evaluate",
            Self::V1 => "v1",
            Self::Mcp => "mcp",
            Self::Admin => "admin",
            Self::Health => "health",
            Self::Management => "management",
            Self::Other => "other",
        }
    }

    /// The class of a route, by its template.
    pub(super) fn of(route: &str) -> Self {
        match route.split('/').nth(1).unwrap_or_default() {
            "query" | "search" => Self::Query,
            "ingest" | "jobs" | "prune" => Self::Ingest,
            "documents" => Self::Documents,
            "sessions" | "feedback" => Self::Sessions,
            "evaluate" => Self::Evaluate,
            "v1" => Self::V1,
            "mcp" => Self::Mcp,
            "admin" => Self::Admin,
            "health" => Self::Health,
            "metrics" | "ops" => Self::Management,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{management_openapi, public_openapi};

    #[test]
    fn every_route_has_a_class_of_its_own_kind_and_only_the_description_is_other() {
        let routes: Vec<String> =
            [public_openapi(), management_openapi()].into_iter().flat_map(|api| api.paths.paths.into_keys()).collect();
        let other: Vec<_> = routes.iter().filter(|route| RouteClass::of(route) == RouteClass::Other).collect();
        assert_eq!(other, ["/openapi.json"], "a new route needs a class");
        for class in RouteClass::ALL {
            assert!(routes.iter().any(|route| RouteClass::of(route) == class), "{class:?} has no route");
        }
        // What no route matches is counted under a name that is no path.
        assert_eq!(RouteClass::of("unmatched"), RouteClass::Other);
    }
}
