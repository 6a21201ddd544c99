//! Many requests to the API server at once: a `kubectl` for each of a thousand pods would take minutes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hyper::Request;
use kube::{Client, Config, client::Body};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::Semaphore, task::JoinSet};

use crate::kube::{Result, ensure};

/// The API server that `KUBECONFIG` names, as `kubectl` finds it too.
pub(crate) struct Api {
    runtime: Runtime,
    client: Client,
    /// Requests of [`create`](Self::create) without an answer yet.
    open: Arc<AtomicUsize>,
}

/// What the API server said.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The object, or a `Status`.
    pub(crate) body: Value,
}

impl Api {
    pub(crate) fn new() -> Result<Self> {
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        let client = runtime.block_on(async {
            let config = Config::infer().await.map_err(|error| error.to_string())?;
            Client::try_from(config).map_err(|error| error.to_string())
        })?;
        Ok(Self {
            runtime,
            client,
            open: Arc::default(),
        })
    }

    /// Tries to create each pod, and keeps none: everything that admits or changes a pod has its say.
    pub(crate) fn dry_run(&self, namespace: &str, pods: &[Value]) -> Result<Vec<Answer>> {
        self.pretend(&format!("/api/v1/namespaces/{namespace}/pods"), pods)
    }

    /// The same of objects of any kind, in the collection of that path.
    pub(crate) fn pretend(&self, path: &str, objects: &[Value]) -> Result<Vec<Answer>> {
        let uri = format!("{path}?dryRun=All");
        let answers = self.exchange(objects.iter().map(|object| post(&uri, object)))?;
        Ok(answers.into_iter().map(Answer::from).collect())
    }

    /// The same of one pod, by somebody who traces the request.
    pub(crate) fn dry_run_traced(
        &self,
        namespace: &str,
        pod: &Value,
        traceparent: &str,
    ) -> Result<Answer> {
        let uri = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
        let request = post(&uri, pod).and_then(|mut request| {
            let traceparent = traceparent.try_into()?;
            request.headers_mut().insert("traceparent", traceparent);
            Ok(request)
        });
        let answers = self.exchange([request].into_iter())?;
        Ok(answers.into_iter().next().ok_or("no answer")?.into())
    }

    /// What is at a path.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let answers = self.exchange([Request::get(path).body(Body::empty())].into_iter())?;
        let answer = answers.into_iter().next().ok_or("no answer")?;
        Answer::from(answer).admitted().cloned()
    }

    /// Creates a pod; `then` gets the answer, some time later and on another thread.
    pub(crate) fn create(
        &self,
        namespace: &str,
        pod: &Value,
        then: impl FnOnce(Result<Answer>) + Send + 'static,
    ) {
        let request = post(&format!("/api/v1/namespaces/{namespace}/pods"), pod);
        let (client, open) = (self.client.clone(), Arc::clone(&self.open));
        open.fetch_add(1, Ordering::SeqCst);
        self.runtime.spawn(async move {
            let answer = match request {
                Ok(request) => send(&client, request).await,
                Err(error) => Err(error.to_string()),
            };
            then(answer.map(Answer::from));
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }

    /// Waits until fewer answers than that are still to come, for as long as an API server takes for any request.
    pub(crate) fn wait_for_room(&self, limit: usize) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.open.load(Ordering::SeqCst) >= limit && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the answers that are still to come, for as long as an API server takes for any request.
    pub(crate) fn finish(&self) {
        self.wait_for_room(1);
    }

    /// Deletes everything in a collection, at once.
    pub(crate) fn delete_collection(&self, path: &str) -> Result {
        let request = Request::delete(format!("{path}?gracePeriodSeconds=0"))
            .body(Body::empty())
            .map_err(|error| error.to_string())?;
        let (status, body) = self.runtime.block_on(send(&self.client, request))?;
        ensure!(status == 200, "{status} {}", String::from_utf8_lossy(&body));
        Ok(())
    }

    /// What each container of a pod has printed.
    pub(crate) fn logs(
        &self,
        namespace: &str,
        pod: &str,
        containers: &[String],
    ) -> Result<Vec<Vec<u8>>> {
        let pod = format!("/api/v1/namespaces/{namespace}/pods/{pod}");
        let request = |container: &String| {
            Request::get(format!("{pod}/log?container={container}")).body(Body::empty())
        };
        let answers = self.exchange(containers.iter().map(request))?;
        let log = |(status, body): (_, Vec<u8>)| match status {
            200 => Ok(body),
            _ => Err(format!("{status} {}", String::from_utf8_lossy(&body))),
        };
        answers.into_iter().map(log).collect()
    }

    /// Sends all of them, some at a time; the answers are in the same order.
    fn exchange(
        &self,
        requests: impl Iterator<Item = hyper::http::Result<Request<Body>>>,
    ) -> Result<Vec<(u16, Vec<u8>)>> {
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        for (at, request) in requests.enumerate() {
            let request = request.map_err(|error| error.to_string())?;
            let (client, gate) = (self.client.clone(), Arc::clone(&gate));
            let task = async move {
                let _permit = gate.acquire().await.map_err(|error| error.to_string())?;
                Ok::<_, String>((at, send(&client, request).await?))
            };
            tasks.spawn_on(task, self.runtime.handle());
        }
        let answers = self.runtime.block_on(tasks.join_all());
        let mut answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
        answers.sort_by_key(|(at, _)| *at);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }
}

fn post(uri: &str, object: &Value) -> hyper::http::Result<Request<Body>> {
    Request::post(uri)
        .header("content-type", "application/json")
        .body(Body::from(object.to_string().into_bytes()))
}

/// Status and body.
async fn send(client: &Client, request: Request<Body>) -> Result<(u16, Vec<u8>)> {
    let answer = client.send(request).await;
    let (head, body) = answer.map_err(|error| error.to_string())?.into_parts();
    let body = body.collect_bytes().await;
    let body = body.map_err(|error| error.to_string())?.to_vec();
    Ok((head.status.as_u16(), body))
}

impl From<(u16, Vec<u8>)> for Answer {
    fn from((status, body): (u16, Vec<u8>)) -> Self {
        let text = || json!(String::from_utf8_lossy(&body));
        Self {
            status,
            body: serde_json::from_slice(&body).unwrap_or_else(|_| text()),
        }
    }
}

impl Answer {
    pub(crate) fn is_admitted(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The object, or why there is none.
    pub(crate) fn admitted(&self) -> Result<&Value> {
        if self.is_admitted() {
            return Ok(&self.body);
        }
        let message = self.body["message"].as_str();
        Err(message.map_or_else(|| format!("{} {}", self.status, self.body), str::to_owned))
    }
}

/// Enough to keep the API server busy, and too few for its queues.
pub(crate) const AT_ONCE: usize = 8;
