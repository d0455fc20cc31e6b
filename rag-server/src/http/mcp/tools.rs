//! The tools: for each, what it takes, who may call it, and which route it is.

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Method, Request, header, request::Parts},
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult,
        Implementation, JsonObject, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
        ToolAnnotations,
    },
    service::RequestContext,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tower::ServiceExt;

use super::{
    super::{entry, error::Problem, extract::Client, json, observe::RequestId, state::Api},
    message,
};
use crate::{config::Role, resilience::Deadline};

/// Bytes of a route's answer; a thousand documents of a page are far below.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// What an assistant is told about the server as a whole.
const INSTRUCTIONS: &str = "Answers come from the documents that were ingested here, and from nothing else. Use `ask` for an answer with citations, `search` for passages. A refused answer means that nothing relevant is stored: do not make one up.";

/// A question.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The question, up to 8192 bytes.
    query: String,
    /// How many passages may be found, 1 to 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50))]
    top_k: Option<u8>,
}

/// A page of documents.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Page {
    /// The id after which the page begins: `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// Documents of the page, 1 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u16>,
}

/// One document.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Its id.
    id: String,
    /// The first passage, from 0: `next` of the call before.
    #[serde(default)]
    from: u32,
}

/// Documents to ingest.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Documents {
    /// The documents, 1 to 1000. One with the id of a stored document replaces it.
    #[schemars(length(min = 1, max = 1000))]
    documents: Vec<ToolDocument>,
}

// As an assistant gives it: less than the route takes. In the tool's schema it has the name that it has in the API.
/// A document to ingest.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewDocument")]
struct ToolDocument {
    /// Its stable id, such as a path. The end of it (`.md`, `.html`, `.txt`) tells how the text is written.
    id: String,
    /// Its text.
    text: String,
    /// Its title; taken from the text without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

/// A call of a route.
struct Call {
    method: Method,
    path: String,
    body: Option<String>,
}

impl Call {
    fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None }
    }

    fn post(path: &str, body: &impl Serialize) -> Result<Self, String> {
        let body = serde_json::to_string(body).map_err(|error| error.to_string())?;
        Ok(Self { method: Method::POST, path: path.to_owned(), body: Some(body) })
    }
}

/// One tool.
struct Offer {
    tool: Tool,
    role: Role,
    call: fn(JsonObject) -> Result<Call, String>,
}

fn offer<A: JsonSchema + 'static>(name: &'static str, description: &'static str) -> Tool {
    Tool::new(name, description, JsonObject::new()).with_input_schema::<A>()
}

/// Every tool, in the order in which they are listed.
fn offers() -> [Offer; 5] {
    let reads = ToolAnnotations::new().read_only(true).open_world(false);
    let writes = ToolAnnotations::new().read_only(false).destructive(true).idempotent(true).open_world(false);
    let search = offer::<Question>("search", "Find the passages of the documents that are nearest to a question.");
    let ask = offer::<Question>(
        "ask",
        "Answer a question from the documents, with citations; refused when nothing relevant is stored.",
    );
    let list = offer::<Page>("list_documents", "List the stored documents, ordered by id, page by page.");
    let fetch = offer::<Document>(
        "fetch_document",
        "Read one document: what is recorded of it, and its text, 100 passages at a time.",
    );
    let ingest = offer::<Documents>(
        "ingest",
        "Store documents, so that they can be found. Returns a job at once; small documents can be found after a second or two.",
    );
    [
        Offer {
            tool: search.annotate(reads.clone()),
            role: Role::Reader,
            call: |given| Call::post("/search", &read::<Question>(given)?),
        },
        Offer {
            tool: ask.annotate(reads.clone()),
            role: Role::Reader,
            call: |given| Call::post("/query", &read::<Question>(given)?),
        },
        Offer {
            tool: list.annotate(reads.clone()),
            role: Role::Reader,
            call: |given| Ok(Call::get(page(&read(given)?))),
        },
        Offer {
            tool: fetch.annotate(reads),
            role: Role::Reader,
            call: |given| {
                let Document { id, from } = read(given)?;
                Ok(Call::get(format!("/documents/{}?passages=true&from={from}", escaped(&id))))
            },
        },
        Offer {
            tool: ingest.annotate(writes),
            role: Role::Writer,
            call: |given| Call::post("/ingest", &read::<Documents>(given)?),
        },
    ]
}

fn page(Page { after, limit }: &Page) -> String {
    let after = after.as_ref().map(|after| format!("after={}", escaped(after)));
    let limit = limit.map(|limit| format!("limit={limit}"));
    let parameters: Vec<String> = after.into_iter().chain(limit).collect();
    format!("/documents?{}", parameters.join("&"))
}

/// Text inside a path or a query string.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// As bodies are read: what an assistant writes as `null` or as `3.0` is taken.
fn read<A: DeserializeOwned>(given: JsonObject) -> Result<A, String> {
    let mut text = serde_json::to_vec(&given).map_err(|error| error.to_string())?;
    drop(given);
    json::read(&mut text).map_err(|why| why.to_string())
}

/// Why a call failed: in words for a model, and for a program as the problem document of the route, where it gave one.
struct Failure {
    words: String,
    problem: Option<Value>,
}

impl Failure {
    fn plain(words: String) -> Self {
        Self { words, problem: None }
    }

    fn of(problem: &Problem, caller: &Parts) -> Self {
        let id = caller.extensions.get::<RequestId>().map(|RequestId(id)| id.as_str()).unwrap_or_default();
        let again = problem.retry_after.map(|seconds| format!(" (again in {seconds} s)")).unwrap_or_default();
        let words = format!("{}{again}", problem.detail);
        Self { words, problem: serde_json::to_value(problem.document(id)).ok() }
    }

    fn told(self) -> CallToolResult {
        let mut result = failed(self.words);
        result.structured_content = self.problem;
        result
    }
}

/// The tools over the routes that they call.
#[derive(Clone)]
pub(super) struct Tools {
    api: Api,
    routes: Router<Api>,
}

impl Tools {
    pub(super) fn new(api: Api, routes: Router<Api>) -> Self {
        Self { api, routes }
    }

    /// Calls a route as the caller would; the problem of a failure is kept.
    async fn fetch(&self, call: Call, caller: &Parts) -> Result<Value, Failure> {
        let class = entry::class_of(&call.method, &call.path);
        let mut request = Request::builder().method(call.method).uri(call.path);
        for name in [header::AUTHORIZATION, header::HOST] {
            if let Some(value) = caller.headers.get(&name) {
                request = request.header(name, value);
            }
        }
        if let Some(key) = caller.headers.get("x-api-key") {
            request = request.header("x-api-key", key);
        }
        let body = call.body.unwrap_or_default();
        let length = HeaderValue::from(body.len());
        let mut request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_LENGTH, length)
            .body(Body::from(body))
            .map_err(|error| Failure::plain(error.to_string()))?;
        *request.extensions_mut() = caller.extensions.clone();
        // The call has a place of its own class, and only while it is answered: what is asked this way is no less work.
        let _place =
            class.map(|class| self.api.enter(class)).transpose().map_err(|problem| Failure::of(&problem, caller))?;
        let routes = self.routes.clone().with_state(self.api.clone());
        let Ok(response) = routes.oneshot(request).await;
        let status = response.status();
        if let Some(problem) = response.extensions().get::<Problem>() {
            return Err(Failure::of(problem, caller));
        }
        if !status.is_success() {
            return Err(Failure::plain(format!("the request failed with status {status}")));
        }
        let bytes = axum::body::to_bytes(response.into_body(), MAX_ANSWER_BYTES).await;
        let bytes = bytes.map_err(|error| Failure::plain(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::plain(error.to_string()))
    }

    async fn called(&self, request: CallToolRequestParams, caller: &Parts) -> Result<CallToolResult, ErrorData> {
        let role = caller.extensions.get::<Client>().map(Client::role);
        let Some(offer) = offers().into_iter().find(|offer| offer.tool.name == request.name) else {
            return Err(ErrorData::invalid_params("no such tool; tools/list names them", None));
        };
        if role < Some(offer.role) {
            let detail = format!("{} needs a key with the role {}", offer.tool.name, offer.role.as_str());
            return Ok(failed(detail));
        }
        let call = match (offer.call)(request.arguments.unwrap_or_default()) {
            Ok(call) => call,
            Err(why) => return Ok(failed(why)),
        };
        let deadline = caller.extensions.get::<Deadline>().copied();
        let work = self.fetch(call, caller);
        let answer = match deadline {
            Some(deadline) => {
                deadline.run(work).await.unwrap_or_else(|expired| Err(Failure::plain(expired.to_string())))
            }
            None => work.await,
        };
        Ok(answer.map_or_else(Failure::told, |value| told(&offer.tool.name, value)))
    }
}

fn failed(why: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(why)])
}

/// The answer of a route: for programs as it is, for a model that reads text without what it cannot use.
fn told(tool: &str, value: Value) -> CallToolResult {
    let mut result = CallToolResult::structured(value);
    if let (true, Some(value)) = (tool == "ask", &result.structured_content) {
        result.content = vec![ContentBlock::text(in_words(value))];
    }
    result
}

/// An answer with its sources.
fn in_words(answer: &Value) -> String {
    let text = answer["answer"].as_str().unwrap_or_default();
    let mut words = text.to_owned();
    for citation in answer["citations"].as_array().into_iter().flatten() {
        let reference = format!("[{}]", citation["ref"]);
        if text.contains(&reference) {
            let (document, passage) = (&citation["document"], &citation["text"]);
            let line = [document, passage].map(|part| part.as_str().unwrap_or_default());
            words.push_str(&format!("\n\n{reference} {}\n{}", line[0], line[1]));
        }
    }
    words
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let server = Implementation::new("rag-server", env!("CARGO_PKG_VERSION")).with_title("rag-server");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(server)
            .with_instructions(INSTRUCTIONS)
    }

    /// Those that the caller's key may call.
    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let role = context.extensions.get::<Parts>().and_then(|parts| Some(parts.extensions.get::<Client>()?.role()));
        let offers = offers().into_iter().filter(|offer| Some(offer.role) <= role);
        Ok(ListToolsResult::with_all_items(offers.map(|offer| offer.tool).collect()))
    }

    /// What is neither a method nor a request of one.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(message::misread(request))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(caller) = context.extensions.get::<Parts>() else {
            return Err(ErrorData::internal_error("the request's head is missing", None));
        };
        tokio::select! {
            result = self.called(request, caller) => result.map(CallToolResponse::from),
            () = context.ct.cancelled() => Ok(failed("the caller went away".to_owned()).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> JsonObject {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn an_id_cannot_lead_a_tool_to_another_route() {
        let offers = offers();
        let fetch = offers.iter().find(|offer| offer.tool.name == "fetch_document").unwrap();
        let call = (fetch.call)(object(json!({"id": "a b/../?x=1#y%2e"}))).unwrap();
        assert_eq!(call.path, "/documents/a%20b/../%3Fx%3D1%23y%252e?passages=true&from=0");
        let list = offers.iter().find(|offer| offer.tool.name == "list_documents").unwrap();
        let call = (list.call)(object(json!({"after": "a&limit=9", "limit": 5}))).unwrap();
        assert_eq!(call.path, "/documents?after=a%26limit%3D9&limit=5");
    }

    #[test]
    fn wrong_arguments_are_named() {
        for offer in offers() {
            let Err(why) = (offer.call)(object(json!({"nonsense": 1}))) else {
                panic!("{} takes anything", offer.tool.name)
            };
            assert!(why.contains("nonsense"), "{why}");
            assert_eq!(offer.tool.input_schema["type"], "object");
        }
    }

    #[test]
    fn whole_floats_and_members_that_are_null_are_taken() {
        let called = |name: &str, given: Value| {
            let call = offers().into_iter().find(|offer| offer.tool.name == name).unwrap().call;
            call(object(given)).map(|call| (call.path, call.body.unwrap_or_default()))
        };
        let asked = Ok(("/query".to_owned(), r#"{"query":"a","top_k":3}"#.to_owned()));
        assert_eq!(called("ask", json!({"query": "a", "top_k": 3.0})), asked);
        let asked = Ok(("/query".to_owned(), r#"{"query":"a"}"#.to_owned()));
        assert_eq!(called("ask", json!({"query": "a", "top_k": null})), asked);
        let fetched = Ok(("/documents/a?passages=true&from=0".to_owned(), String::new()));
        assert_eq!(called("fetch_document", json!({"id": "a", "from": null})), fetched);
        let wrong = called("ask", json!({"query": "a", "top_k": 3.5})).unwrap_err();
        assert_eq!(wrong, "top_k: invalid type: floating point `3.5`, expected u8");
    }

    #[test]
    fn an_answer_in_words_lists_only_the_passages_that_it_refers_to() {
        let citation = |reference: u32| json!({"ref": reference, "document": format!("{reference}.md"), "text": "t"});
        let answer = json!({"answer": "Seven days [2].", "citations": [citation(1), citation(2)]});
        assert_eq!(in_words(&answer), "Seven days [2].\n\n[2] 2.md\nt");
    }
}
