//! As much of the Kubernetes API as discovery uses: objects with resourceVersions, conflicts, merge patches, lists, watches
//! with bookmarks, and 410 for a watch that begins before what the server remembers. Shapes are those that a real server
//! sends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

/// How often a quiet watch hears that it is still right: a real server sends one a minute.
const BOOKMARK_INTERVAL: Duration = Duration::from_millis(200);

pub struct FakeServer {
    api: Arc<Api>,
    address: std::net::SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Api {
    contents: Mutex<Contents>,
    /// Counts writes: wakes the watches.
    written: watch::Sender<u64>,
    /// Counts hang-ups: ends the watches.
    hung_up: watch::Sender<u64>,
    bookmarks: AtomicU64,
    too_old: AtomicU64,
}

#[derive(Default)]
struct Contents {
    stopped: bool,
    version: u64,
    /// Events up to here are forgotten.
    compacted: u64,
    /// By resource (such as `leases`) and name.
    objects: BTreeMap<(String, String), Value>,
    /// Version, resource, event.
    events: Vec<(u64, String, Value)>,
}

impl FakeServer {
    pub async fn start() -> Self {
        let api = Arc::new(Api::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(api.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { api, address, serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends every watch and answers 503 from now on.
    pub fn stop(&self) {
        self.api.contents.lock().stopped = true;
        self.hang_up();
    }

    pub fn resume(&self) {
        self.api.contents.lock().stopped = false;
    }

    /// Ends every watch, as a proxy on the way may at any time.
    pub fn hang_up(&self) {
        self.api.hung_up.send_modify(|count| *count += 1);
    }

    /// Deletes every object of a resource.
    pub fn forget(&self, resource: &str) {
        let mut contents = self.api.contents.lock();
        let gone: Vec<_> = contents.objects.keys().filter(|(kind, _)| kind == resource).cloned().collect();
        for key in gone {
            let object = contents.objects.remove(&key).unwrap();
            contents.note(resource, "DELETED", object);
        }
        drop(contents);
        self.api.wake();
    }

    /// Forgets what has happened up to the next write; the objects stay.
    pub fn compact(&self) {
        let mut contents = self.api.contents.lock();
        contents.compacted = contents.version + 1;
    }

    pub fn bookmarks(&self) -> u64 {
        self.api.bookmarks.load(Ordering::SeqCst)
    }

    /// How many watches were answered 410.
    pub fn too_old(&self) -> u64 {
        self.api.too_old.load(Ordering::SeqCst)
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What a path and a query name.
struct Asked {
    resource: String,
    name: Option<String>,
    query: BTreeMap<String, String>,
}

impl Asked {
    /// Of `/api/v1/namespaces/NAMESPACE/RESOURCE[/NAME]` and its like of an API group.
    fn of(request: &Request) -> Self {
        let mut parts = request.uri().path().split('/').skip_while(|part| *part != "namespaces").skip(2);
        let query = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key.to_owned(), value.replace("%2F", "/").replace("%3D", "=")))
        });
        Self {
            resource: parts.next().unwrap().to_owned(),
            name: parts.next().map(str::to_owned),
            query: query.collect(),
        }
    }

    /// Whether the selectors of the query choose an object.
    fn chooses(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let label = self.query.get("labelSelector").and_then(|selector| selector.split_once('='));
        let field = self.query.get("fieldSelector").and_then(|selector| selector.split_once('='));
        label.is_none_or(|(key, value)| metadata["labels"][key] == value)
            && field.is_none_or(|(_, name)| metadata["name"] == name)
    }
}

async fn answer(State(api): State<Arc<Api>>, request: Request) -> Response {
    let asked = Asked::of(&request);
    let method = request.method().clone();
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
    if api.contents.lock().stopped {
        return status(503, "ServiceUnavailable", "stopped");
    }
    if asked.name.is_none() && method == Method::GET {
        return match asked.query.get("watch").map(String::as_str) {
            Some("true" | "1") => watch(api, asked),
            _ => api.list(&asked),
        };
    }
    let answer = api.one(&method, &asked, &body);
    api.wake();
    answer
}

impl Api {
    fn wake(&self) {
        self.written.send_modify(|count| *count += 1);
    }

    fn list(&self, asked: &Asked) -> Response {
        let contents = self.contents.lock();
        let of = |((resource, _), object): (&(String, String), &Value)| {
            (*resource == asked.resource && asked.chooses(object)).then(|| object.clone())
        };
        let items: Vec<Value> = contents.objects.iter().filter_map(of).collect();
        let (group, kind) = kind_of(&asked.resource);
        let version = contents.version.to_string();
        let list = json!({
            "apiVersion": group, "kind": format!("{kind}List"), "items": items,
            "metadata": {"resourceVersion": version},
        });
        sent(StatusCode::OK, &list)
    }

    /// Reads or writes one object.
    fn one(&self, method: &Method, asked: &Asked, body: &Bytes) -> Response {
        let mut contents = self.contents.lock();
        let given: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = asked.name.clone().or_else(|| Some(given["metadata"]["name"].as_str()?.to_owned())).unwrap();
        let key = (asked.resource.clone(), name.clone());
        let present = contents.objects.get(&key).cloned();
        if *method == Method::POST {
            if present.is_some() {
                return status(409, "AlreadyExists", &format!("{} \"{name}\" already exists", asked.resource));
            }
            return sent(StatusCode::CREATED, &contents.put(key, given, "ADDED"));
        }
        let Some(present) = present else {
            return status(404, "NotFound", &format!("{} \"{name}\" not found", asked.resource));
        };
        if *method == Method::GET {
            return sent(StatusCode::OK, &present);
        }
        let wanted = &given["metadata"]["resourceVersion"];
        if !wanted.is_null() && *wanted != present["metadata"]["resourceVersion"] {
            let reason = "the object has been modified; please apply your changes to the latest version and try again";
            return status(409, "Conflict", reason);
        }
        let mut next = present;
        if *method == Method::PATCH {
            merge(&mut next, &given);
        } else {
            next = given;
        }
        sent(StatusCode::OK, &contents.put(key, next, "MODIFIED"))
    }
}

impl Contents {
    fn put(&mut self, key: (String, String), mut object: Value, event: &str) -> Value {
        let (group, kind) = kind_of(&key.0);
        object["apiVersion"] = group.into();
        object["kind"] = kind.into();
        object["metadata"]["namespace"] = "default".into();
        object["metadata"]["uid"] = format!("uid-of-{}", key.1).into();
        object["metadata"]["resourceVersion"] = (self.version + 1).to_string().into();
        self.objects.insert(key.clone(), object.clone());
        self.note(&key.0, event, object.clone());
        object
    }

    fn note(&mut self, resource: &str, event: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.events.push((self.version, resource.to_owned(), json!({"type": event, "object": object})));
    }
}

/// Events from a version on, one JSON document a line, until somebody hangs up.
fn watch(api: Arc<Api>, asked: Asked) -> Response {
    let from: u64 = asked.query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
    if from < api.contents.lock().compacted {
        api.too_old.fetch_add(1, Ordering::SeqCst);
        let object = status_object(410, "Expired", &format!("too old resource version: {from}"));
        return sent(StatusCode::OK, &json!({"type": "ERROR", "object": object}));
    }
    let (mut written, mut hung_up) = (api.written.subscribe(), api.hung_up.subscribe());
    hung_up.mark_unchanged();
    let (lines, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(64);
    tokio::spawn(async move {
        let mut seen = from;
        loop {
            for line in api.after(&mut seen, &asked) {
                if lines.send(Ok(line)).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                _ = written.changed() => {}
                _ = hung_up.changed() => return,
                () = tokio::time::sleep(BOOKMARK_INTERVAL) => {
                    let (group, kind) = kind_of(&asked.resource);
                    let object = json!({"apiVersion": group, "kind": kind, "metadata": {"resourceVersion": seen.to_string()}});
                    if lines.send(Ok(line(&json!({"type": "BOOKMARK", "object": object})))).await.is_err() {
                        return;
                    }
                    api.bookmarks.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    });
    let stream = futures::stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    Response::builder().header("content-type", "application/json").body(Body::from_stream(stream)).unwrap()
}

impl Api {
    /// The events after a version that the watch asked for.
    fn after(&self, seen: &mut u64, asked: &Asked) -> Vec<Bytes> {
        let contents = self.contents.lock();
        let new = contents.events.iter().filter(|(version, resource, event)| {
            *version > *seen && *resource == asked.resource && asked.chooses(&event["object"])
        });
        let lines = new.map(|(_, _, event)| line(event)).collect();
        *seen = contents.version.max(*seen);
        lines
    }
}

fn line(event: &Value) -> Bytes {
    format!("{event}\n").into()
}

/// JSON merge patch, RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else { return target.clone_from(patch) };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, change) in changes {
        if change.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], change);
        }
    }
}

fn kind_of(resource: &str) -> (&'static str, &'static str) {
    match resource {
        "configmaps" => ("v1", "ConfigMap"),
        "leases" => ("coordination.k8s.io/v1", "Lease"),
        "endpointslices" => ("discovery.k8s.io/v1", "EndpointSlice"),
        other => panic!("a resource that discovery does not use: {other}"),
    }
}

fn sent(code: StatusCode, value: &Value) -> Response {
    (code, [("content-type", "application/json")], value.to_string()).into_response()
}

fn status(code: u16, reason: &str, message: &str) -> Response {
    sent(StatusCode::from_u16(code).unwrap(), &status_object(code, reason, message))
}

fn status_object(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    })
}
