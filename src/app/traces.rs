//! From `traces` in the configuration to who tells the collector of spans: OTLP over HTTP, in batches, beside the data path.
//!
//! A collector that is gone, slow or out of its mind costs spans, which are counted, and nothing else: the queue is bounded, a
//! batch is given up after a few tries, and the log says once that it fails and once that it works again.

mod otlp;

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::fetch::{FetchSettings, Fetcher, Taken, jittered};
use super::{lock, secret};
use crate::config::{self, ContinueFrom, Document, Problem};
use crate::edge::Traces;
use crate::ops::{Metrics, Span, SpanQueue};

/// Spans that are sent at once, at least if there are so many, and how long the first of them waits for others.
const BATCH: usize = 512;
const LINGER: Duration = Duration::from_secs(1);
/// How often a batch is sent before it is given up, how long after the first failure it is sent again (each further pause is
/// twice as long), and the longest pause that a collector can ask for.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Most bytes of an answer.
const LARGEST_ANSWER: u64 = 64 << 10;
/// How long what still waits may take at the end of the gateway.
const LAST: Duration = Duration::from_secs(2);

/// The collector of a configuration.
pub(super) struct Collector {
    fetcher: Fetcher,
    url: String,
    fields: HeaderMap,
}

/// Reads the files that are named for the collector. `None` without one, or if something is wrong, which is said as well.
pub(super) fn collector(document: &Document) -> (Option<Collector>, Vec<Problem>) {
    let Some(settings) = &document.config.traces else { return (None, Vec::new()) };
    let mut problems = Vec::new();
    let mut told = |member: &str, message: String| {
        problems.push(document.source.problem(&format!("/traces/{member}"), message));
    };
    let fetcher = Fetcher::new(&FetchSettings {
        timeout: settings.timeout.get(),
        largest: LARGEST_ANSWER,
        authorities: settings.authorities.as_deref(),
    });
    let fetcher = fetcher.map_err(|message| told("authorities", message)).ok();
    let fields = settings.headers_file.as_deref().map_or(Ok(HeaderMap::new()), |file| {
        fields(file).map_err(|message| told("headers_file", format!("{}: {message}", file.display())))
    });
    let collector = fetcher.zip(fields.ok());
    (
        collector.map(|(fetcher, fields)| Collector { fetcher, url: settings.url.to_string(), fields }),
        problems,
    )
}

/// Header fields of a secret file, `Name: value` on each line.
fn fields(file: &Path) -> Result<HeaderMap, String> {
    let bytes = secret::read(file)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not text")?;
    let mut fields = HeaderMap::new();
    let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty());
    for (number, line) in lines {
        let field = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::try_from(name.trim_end()).ok()?;
            let value = HeaderValue::try_from(value.trim()).ok().filter(|value| !value.is_empty())?;
            Some((name, value))
        });
        let Some((name, mut value)) = field else {
            return Err(format!("line {number}: expected `Name: value`"));
        };
        if ["host", "connection", "content-length", "content-type", "transfer-encoding"]
            .contains(&name.as_str())
        {
            return Err(format!("line {number}: `{name}` belongs to HTTP itself"));
        }
        if fields.contains_key(&name) {
            return Err(format!("line {number}: `{name}` is there twice"));
        }
        // Not to be seen by whoever prints a request.
        value.set_sensitive(true);
        fields.insert(name, value);
    }
    if fields.is_empty() { Err("there is no field in it".to_owned()) } else { Ok(fields) }
}

/// Tells a collector of the spans in a queue, until nobody can put more into it.
pub(super) struct Exporter {
    collector: Collector,
    queue: mpsc::Receiver<Vec<Span>>,
    /// What waits to be sent.
    batch: Vec<Span>,
    source: Vec<(&'static str, String)>,
    metrics: Metrics,
    /// Why spans are lost at the moment.
    problem: Option<&'static str>,
}

impl Exporter {
    /// What the data path does for the traces of these settings, and who tells the collector.
    pub(super) fn new(settings: &config::Traces, collector: Collector, metrics: &Metrics) -> (Traces, Self) {
        let requests = usize::try_from(settings.queue.get()).unwrap_or(usize::MAX);
        let (sender, queue) = SpanQueue::new(requests, metrics);
        let continues = settings.continue_from == ContinueFrom::TrustedProxies;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let instance = getrandom::u64().map_or_else(|_| host.clone(), |number| format!("{number:016x}"));
        let source = vec![
            ("service.name", settings.service.clone()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id", instance),
            ("host.name", host),
        ];
        let metrics = metrics.clone();
        let traces = Traces::new(settings.ratio, continues, settings.identity, sender);
        (traces, Self { collector, queue, batch: Vec::new(), source, metrics, problem: None })
    }

    /// Sends what comes, until there will be no more. `ends`: the gateway does, and there is no time for pauses.
    async fn run(mut self, mut ends: watch::Receiver<bool>) {
        let mut is_ending = false;
        loop {
            is_ending |= *ends.borrow_and_update();
            if is_ending {
                // What is in it still comes.
                self.queue.close();
            }
            let is_over = tokio::select! {
                is_over = self.gather() => is_over,
                // Whoever could have said so is gone: that is the end as well.
                changed = ends.changed(), if !is_ending => {
                    is_ending = changed.is_err();
                    continue;
                }
            };
            if !self.batch.is_empty() {
                self.deliver(&mut ends).await;
            }
            if is_over {
                return;
            }
        }
    }

    /// Gathers a batch, or what there is of one after a while. Whether there will be no more.
    async fn gather(&mut self) -> bool {
        if self.batch.is_empty() {
            match self.queue.recv().await {
                Some(spans) => self.batch.extend(spans),
                None => return true,
            }
        }
        let more = async {
            while self.batch.len() < BATCH {
                let Some(spans) = self.queue.recv().await else { return true };
                self.batch.extend(spans);
            }
            false
        };
        timeout(LINGER, more).await.unwrap_or(false)
    }

    /// Sends the batch, again if that may help.
    async fn deliver(&mut self, ends: &mut watch::Receiver<bool>) {
        let spans = std::mem::take(&mut self.batch);
        let count = spans.len() as u64;
        let body = otlp::encode(spans, &self.source);
        let mut pause = PAUSE;
        for left in (0..TRIES).rev() {
            let lost = match self.send(&body).await {
                Ok((rejected, why)) => {
                    let rejected = rejected.min(count);
                    self.metrics.spans_exported.inc_by(count - rejected);
                    return self.note((rejected > 0).then_some("rejected"), rejected, &why);
                }
                Err(lost) => lost,
            };
            let wait = lost.after.unwrap_or_else(|| jittered(pause)).min(LONGEST_PAUSE);
            if !lost.may_pass || left == 0 || *ends.borrow() {
                return self.note(Some(lost.cause), count, &lost.why);
            }
            // At the end, once more without a pause.
            let _ = timeout(wait, ends.changed()).await;
            pause *= 2;
        }
    }

    async fn send(&self, body: &[u8]) -> Result<(u64, String), Lost> {
        let Collector { fetcher, url, fields } = &self.collector;
        let Taken { status, retry_after, body } = fetcher
            .deliver(url, otlp::MEDIA_TYPE, fields, body.to_vec())
            .await
            .map_err(|why| Lost { cause: "unreachable", why, may_pass: true, after: None })?;
        if status == StatusCode::OK {
            let why = "it answered 200 with something that is no answer".to_owned();
            return otlp::rejected(&body).ok_or(Lost { cause: "refused", why, may_pass: false, after: None });
        }
        // Those that OTLP says may be tried again.
        let may_pass = matches!(status.as_u16(), 429 | 502..=504);
        let why = format!("it answered {} instead of 200", status.as_u16());
        Err(Lost { cause: "refused", why, may_pass, after: retry_after })
    }

    /// Counts what is lost, and says when that begins and when it ends.
    fn note(&mut self, cause: Option<&'static str>, lost: u64, why: &str) {
        if let Some(cause) = cause {
            self.metrics.spans_dropped.with_label_values(&[cause]).inc_by(lost);
        }
        let before = std::mem::replace(&mut self.problem, cause);
        let url = &*self.collector.url;
        match cause {
            Some(cause) if before.is_none() => {
                // Some of it may be the collector's own words.
                let why: String = why.chars().take(200).flat_map(char::escape_debug).collect();
                tracing::warn!(url, cause, %why, "The collector of traces doesn't take spans: they are lost");
            }
            None if before.is_some() => tracing::info!(url, "The collector of traces takes spans again"),
            _ => {}
        }
    }
}

/// A batch that was not taken.
struct Lost {
    cause: &'static str,
    why: String,
    /// Whether it may be taken later.
    may_pass: bool,
    /// When, if the collector has said so.
    after: Option<Duration>,
}

/// Those who tell collectors: of the configuration in force, and of former ones as long as requests go by them.
pub(super) struct Exporters {
    runtime: Handle,
    ends: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Exporters {
    /// None yet.
    pub(super) fn new(runtime: &Handle) -> Self {
        Self { runtime: runtime.clone(), ends: watch::channel(false).0, tasks: Mutex::default() }
    }

    /// Has one work.
    pub(super) fn begin(&self, exporter: Option<Exporter>) {
        let mut tasks = lock(&self.tasks);
        tasks.retain(|task| !task.is_finished());
        tasks.extend(exporter.map(|exporter| self.runtime.spawn(exporter.run(self.ends.subscribe()))));
    }

    /// Has what still waits sent, for a moment. Blocks.
    pub(super) fn end(&self) {
        self.ends.send_replace(true);
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        let sent = self.runtime.block_on(async { timeout(LAST, join_all(tasks)).await });
        if sent.is_err() {
            tracing::warn!("The collector of traces hasn't taken the last spans in time: they are lost");
        }
    }
}
