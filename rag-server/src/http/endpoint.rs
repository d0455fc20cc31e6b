//! One table from which both the router and its OpenAPI document are made, so that neither can name a route that the other lacks.

use axum::{Router, routing::MethodRouter};
use utoipa::{
    ToSchema,
    openapi::{
        Components, Content, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required,
        ResponseBuilder, Schema,
        path::{OperationBuilder, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        schema::{ObjectBuilder, Type},
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

use super::{
    error::ProblemDocument,
    openai::{self, ErrorDocument},
    state::Api,
};

/// One method of one path, with its handler and its description.
pub(super) struct Endpoint {
    path: &'static str,
    method: HttpMethod,
    handler: MethodRouter<Api>,
    operation: OperationBuilder,
    schemas: Vec<(String, RefOr<Schema>)>,
    is_probe: bool,
}

impl Endpoint {
    /// An endpoint that does work: it is admitted, timed and cut off at the deadline.
    pub(super) fn new(method: HttpMethod, path: &'static str, handler: MethodRouter<Api>, summary: &str) -> Self {
        let busy = "too much at once, the server is starting or stopping, or what it needs is not available; the header Retry-After says when to come again";
        let endpoint = Self::bare(path, method, handler, summary);
        endpoint.problem(503, busy).problem(504, "it took too long")
    }

    fn bare(path: &'static str, method: HttpMethod, handler: MethodRouter<Api>, summary: &str) -> Self {
        let operation = OperationBuilder::new().summary(Some(summary));
        let endpoint = Self { path, method, handler, operation, schemas: Vec::new(), is_probe: false };
        if endpoint.is_openai() { endpoint.schema::<ErrorDocument>() } else { endpoint.schema::<ProblemDocument>() }
    }

    /// An endpoint that answers at once, however busy the server is.
    pub(super) fn probe(path: &'static str, handler: MethodRouter<Api>, summary: &str) -> Self {
        Self { is_probe: true, ..Self::bare(path, HttpMethod::Get, handler, summary) }
    }

    /// Needs a key.
    pub(super) fn keyed(mut self) -> Self {
        let requirement = |name: &str| SecurityRequirement::new(name, std::iter::empty::<String>());
        self.operation = self.operation.security(requirement("key")).security(requirement("bearer"));
        self.problem(401, "no key, or an unknown one").problem(403, "the key's role is too low")
    }

    /// Takes a JSON body.
    pub(super) fn body<T: ToSchema>(mut self) -> Self {
        let content = Content::new(Some(Ref::from_schema_name(T::name())));
        let body = RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True));
        self.operation = self.operation.request_body(Some(body.build()));
        self.schema::<T>()
            .problem(400, "not JSON")
            .problem(408, "the body came too slowly")
            .problem(413, "the body is too large")
            .problem(415, "the content type is not JSON, or the body is encoded in a way that is not decoded")
            .problem(422, "a value is not allowed")
    }

    /// Takes another kind of body, too.
    pub(super) fn also_takes(mut self, kind: &str, description: &str) -> Self {
        let mut operation = self.operation.build();
        if let Some(body) = &mut operation.request_body {
            body.content.insert(kind.to_owned(), Content::default());
            body.description = Some(format!("or {kind}: {description}"));
        }
        self.operation = operation.into();
        self
    }

    /// Takes a parameter in the path, the query string or a header.
    pub(super) fn parameter(mut self, place: ParameterIn, name: &str, kind: Type, description: &str) -> Self {
        let required = if place == ParameterIn::Path { Required::True } else { Required::False };
        let is_of_the_url = place != ParameterIn::Header;
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(kind)));
        self.operation = self.operation.parameter(parameter);
        if is_of_the_url { self.problem(400, "the path or the query string cannot be read") } else { self }
    }

    /// Answers with JSON.
    pub(super) fn answers<T: ToSchema>(mut self, status: u16, description: &str) -> Self {
        let content = Content::new(Some(Ref::from_schema_name(T::name())));
        let response = ResponseBuilder::new().description(description).content("application/json", content);
        self.operation = self.operation.response(status.to_string(), response);
        self.schema::<T>()
    }

    /// Answers with something else, or with nothing.
    pub(super) fn answers_plainly(mut self, status: u16, kind: Option<&str>, description: &str) -> Self {
        let response = ResponseBuilder::new().description(description);
        let response = match kind {
            Some(kind) => response.content(kind, Content::default()),
            None => response,
        };
        self.operation = self.operation.response(status.to_string(), response);
        self
    }

    /// May answer with a problem document.
    pub(super) fn problem(mut self, status: u16, description: &str) -> Self {
        let (status, kind, name) = match self.is_openai() {
            true => (openai::status_code(status), "application/json", ErrorDocument::name()),
            false => (status, "application/problem+json", ProblemDocument::name()),
        };
        let content = Content::new(Some(Ref::from_schema_name(name)));
        let response = ResponseBuilder::new().description(description).content(kind, content);
        self.operation = self.operation.response(status.to_string(), response);
        self
    }

    /// Whether errors are written as clients of OpenAI's API expect them.
    fn is_openai(&self) -> bool {
        self.path.starts_with(openai::PREFIX)
    }

    /// Answers with server-sent events where a stream is asked for.
    pub(super) fn also_streams(mut self) -> Self {
        let mut operation = self.operation.build();
        if let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") {
            response.content.insert("text/event-stream".to_owned(), Content::default());
        }
        self.operation = operation.into();
        self
    }

    /// Also sends values of this type, as events of a stream.
    pub(super) fn also_sends<T: ToSchema>(self) -> Self {
        self.also_streams().schema::<T>()
    }

    fn schema<T: ToSchema>(mut self) -> Self {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        self
    }

    /// The path as axum wants it: an id of a document and the name of a model may hold slashes.
    fn route(&self) -> String {
        if self.path.starts_with("/documents/") || self.path.starts_with("/v1/models/") {
            self.path.replace("{id}", "{*id}")
        } else {
            self.path.to_owned()
        }
    }
}

/// A router with the endpoints that do work, and one with those that answer at once.
pub(super) fn routers(endpoints: Vec<Endpoint>) -> (Router<Api>, Router<Api>) {
    endpoints.into_iter().fold((Router::new(), Router::new()), |(work, probes), endpoint| {
        let route = endpoint.route();
        match endpoint.is_probe {
            true => (work, probes.route(&route, endpoint.handler)),
            false => (work.route(&route, endpoint.handler), probes),
        }
    })
}

/// The OpenAPI document of the endpoints.
pub(super) fn openapi(title: &str, endpoints: Vec<Endpoint>) -> OpenApi {
    let (mut paths, mut components) = (Paths::new(), Components::new());
    for endpoint in endpoints {
        paths.add_path_operation(endpoint.path, vec![endpoint.method], endpoint.operation);
        components.schemas.extend(endpoint.schemas);
    }
    components.add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let info = InfoBuilder::new().title(title).version(env!("CARGO_PKG_VERSION"));
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build()
}
