//! HTTP functions: a request goes to a fresh instance, whose response streams
//! out while the instance lives on.

mod body;
mod clock;
mod exchange;
mod request;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime::component::InstancePre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HostOutgoingBody;
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{Error as WasiError, WasiBody, WasiHttpView, p3};

use body::Extent;
pub use body::ResponseBody;
pub(crate) use clock::Clock;
pub use exchange::Ended;
use exchange::Exchange;

use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;
use crate::instance::{InstanceState, Terms};
use crate::kind::Wasi;
use crate::report::{CallReport, StageReport};
use crate::ticker::Awake;

/// An HTTP function, linked and checked.
pub(crate) struct HttpFunction {
    pre: Pre,
    terms: Terms,
}

enum Pre {
    V0_2(ProxyPre<InstanceState>),
    V0_3(ServicePre<InstanceState>),
}

/// What a guest answers first: a response's head with the body to come, or that
/// it has none.
type Head = Result<http::Response<WasiBody>, WasiError>;

impl HttpFunction {
    /// # Errors
    /// [`Error::Link`] when the handler is not of the type that it should be.
    pub(crate) fn new(pre: InstancePre<InstanceState>, wasi: Wasi, terms: Terms) -> Result<Self> {
        let pre = match wasi {
            Wasi::V0_1 | Wasi::V0_2 => ProxyPre::new(pre).map(Pre::V0_2),
            Wasi::V0_3 => ServicePre::new(pre).map(Pre::V0_3),
        };
        match pre {
            Ok(pre) => Ok(Self { pre, terms }),
            Err(error) => Err(Error::Link { function: terms.function, reason: format!("{error:#}") }),
        }
    }

    pub(crate) fn wasi(&self) -> Wasi {
        match self.pre {
            Pre::V0_2(_) => Wasi::V0_2,
            Pre::V0_3(_) => Wasi::V0_3,
        }
    }

    /// See [`Function::handle`](crate::Function::handle).
    pub(crate) async fn handle<B>(
        self: &Arc<Self>,
        host: &Host,
        request: http::Request<B>,
        call: Call,
    ) -> Result<http::Response<ResponseBody>>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let clock = Arc::new(Clock::new(&call, self.terms.limits.deadline));
        let is_head = request.method() == http::Method::HEAD;
        let request = request::prepare(&self.terms.function, request, &call, &clock)?;
        let exchange = Arc::new(Exchange::new(clock));
        let (head, mut coming) = oneshot::channel();
        let (this, host) = (Arc::clone(self), host.clone());
        let mut guest = Box::pin(this.run(host, Arc::clone(&exchange), call, request, head));
        // The guest runs here until it has answered, and elsewhere from then on.
        let mut has_ended = false;
        let head = tokio::select! {
            biased;
            () = &mut guest => {
                has_ended = true;
                coming.await
            }
            head = &mut coming => head,
        };
        let Ok(head) = head else {
            return Err(exchange.take_error().unwrap_or_else(|| self.no_answer(String::new())));
        };
        let response = self.checked(head)?;
        let extent = Extent::of(&response, is_head);
        let guest = (!has_ended).then(|| tokio::spawn(guest).abort_handle());
        let function = self.terms.function.clone();
        Ok(response.map(|body| ResponseBody::new(function, body, exchange, guest, extent)))
    }

    /// Runs an instance from its creation to its end, which the exchange is
    /// told of.
    async fn run(
        self: Arc<Self>,
        host: Host,
        exchange: Arc<Exchange>,
        call: Call,
        request: http::Request<WasiBody>,
        head: oneshot::Sender<Head>,
    ) {
        let mut store = match self.terms.store(&host) {
            Ok(store) => store,
            Err(error) => return exchange.fail(error, false),
        };
        store.data_mut().begin(&call);
        store.data_mut().follow(Arc::clone(&exchange.clock));
        let report = StageReport { name: self.terms.speaker.stage.clone(), ..StageReport::default() };
        let ending = Ending { exchange: Arc::clone(&exchange), report };
        let mut live =
            Live { store, exchange, call, wasi: self.wasi(), ending, _awake: host.interruptible() };
        let clock = Arc::clone(&live.exchange.clock);
        match clock.limit(self.serve(&mut live, request, head)).await {
            Some(Ok(())) if !clock.is_streaming() => {
                let error = self.no_answer(live.store.data().voice.last_words());
                live.fail(error);
            }
            Some(Ok(())) => live.leave(&clock).await,
            Some(Err(error)) => {
                let given = live.call.deadline.given;
                let error = match self.terms.explain(&host, &error, live.store.data(), given) {
                    Error::Timeout { .. } => self.too_long(&live),
                    error => error,
                };
                live.fail(error);
            }
            None => {
                let error = self.too_long(&live);
                live.fail(error);
            }
        }
    }

    /// Instantiates the component and hands it the request.
    async fn serve(
        &self,
        live: &mut Live,
        request: http::Request<WasiBody>,
        head: oneshot::Sender<Head>,
    ) -> wasmtime::Result<()> {
        match &self.pre {
            Pre::V0_2(pre) => self.serve_0_2(live, pre, request, head).await,
            Pre::V0_3(pre) => self.serve_0_3(live, pre, request, head).await,
        }
    }

    async fn serve_0_2(
        &self,
        live: &mut Live,
        pre: &ProxyPre<InstanceState>,
        request: http::Request<WasiBody>,
        head: oneshot::Sender<Head>,
    ) -> wasmtime::Result<()> {
        let proxy = pre.instantiate_async(&mut live.store).await?;
        self.count_instance(live);
        let scheme = match request.uri().scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") | None => Scheme::Http,
            Some(other) => Scheme::Other(other.to_owned()),
        };
        let clock = Arc::clone(&live.exchange.clock);
        let answer = move |answer: Result<_, _>| {
            clock.begin_streaming();
            // A caller who has gone away is told nothing.
            let _ = head.send(answer.map_err(WasiError::from));
        };
        let mut http = live.store.data_mut().http();
        let request = http.new_incoming_request(scheme, request)?;
        let out = http.new_response_outparam_from_callback(answer)?;
        let handler = proxy.wasi_http_incoming_handler();
        handler.call_handle(&mut live.store, request, out).await
    }

    async fn serve_0_3(
        &self,
        live: &mut Live,
        pre: &ServicePre<InstanceState>,
        request: http::Request<WasiBody>,
        head: oneshot::Sender<Head>,
    ) -> wasmtime::Result<()> {
        let service = pre.instantiate_async(&mut live.store).await?;
        self.count_instance(live);
        let (request, _) = p3::Request::from_http(live.store.data_mut().http().hooks, request);
        let exchange = Arc::clone(&live.exchange);
        let serve = async |accessor: &wasmtime::component::Accessor<InstanceState>| {
            let head_of = |response: p3::Response| {
                accessor.with(|mut store| response.into_http(&mut store, async { Ok(()) }))
            };
            let answer = match service.handle(accessor, request).await? {
                Ok(response) => Ok(head_of(response)?),
                Err(code) => Err(WasiError::from(code)),
            };
            exchange.clock.begin_streaming();
            if head.send(answer).is_ok() {
                // The streams need the store, even once the guest is done.
                exchange.body_over().await;
            }
            std::future::poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
            Ok(())
        };
        live.store.run_concurrent(serve).await?
    }

    fn count_instance(&self, live: &mut Live) {
        self.terms.count_instance();
        live.ending.report.instantiation = live.call.started.elapsed();
    }

    /// The response, unless the guest said that it has none.
    fn checked(&self, head: Head) -> Result<http::Response<WasiBody>> {
        let answered =
            |kind, message| Error::Answered { function: self.terms.function.clone(), kind, message };
        let response = head.map_err(|code| answered(kind_of(&code), code.to_string()))?;
        if response.status().is_informational() {
            let message = format!("status {}, which ends no request", response.status().as_u16());
            return Err(answered(ErrorKind::FunctionFailed, message));
        }
        Ok(response)
    }

    fn too_long(&self, live: &Live) -> Error {
        let function = self.terms.function.clone();
        match live.exchange.clock.is_streaming() {
            true => Error::Stalled { function, limit: live.exchange.clock.stillness() },
            false => Error::Timeout { function, deadline: live.call.deadline.given },
        }
    }

    fn no_answer(&self, stderr: String) -> Error {
        Error::NoAnswer { function: self.terms.function.clone(), stderr }
    }
}

/// An instance at work for one request.
struct Live {
    store: Store<InstanceState>,
    exchange: Arc<Exchange>,
    call: Call,
    wasi: Wasi,
    /// Dropped after the store.
    ending: Ending,
    _awake: Awake,
}

/// Tells the exchange that the instance is gone, and what it did.
struct Ending {
    exchange: Arc<Exchange>,
    report: StageReport,
}

impl Live {
    /// Lets the guest go that has returned. One that has left its response
    /// unfinished is kept until the caller has read what there is: without its
    /// instance, the body would seem to end well.
    async fn leave(&mut self, clock: &Clock) {
        let holds_body = self.holds_body();
        self.exchange.returned(!holds_body);
        if holds_body {
            let _ = clock.limit(self.exchange.body_over()).await;
        }
    }

    /// What a guest of WASI 0.3 has written cannot be told from here: its
    /// failure always shows.
    fn fail(&mut self, error: Error) {
        let wrote_all = self.wasi == Wasi::V0_2 && self.exchange.clock.is_streaming() && !self.holds_body();
        self.exchange.fail(error, wrote_all);
    }

    /// Whether a guest of WASI 0.2 has a body that it has not finished.
    fn holds_body(&mut self) -> bool {
        self.store.data_mut().table.iter_mut().any(|entry| entry.is::<HostOutgoingBody>())
    }
}

/// The class of the error with which a guest answers.
fn kind_of(code: &WasiError) -> ErrorKind {
    match code {
        WasiError::HttpRequestBodySize(_)
        | WasiError::HttpRequestHeaderSectionSize(_)
        | WasiError::HttpRequestHeaderSize { .. }
        | WasiError::HttpRequestTrailerSectionSize(_)
        | WasiError::HttpRequestTrailerSize { .. }
        | WasiError::HttpRequestUriTooLong => ErrorKind::TooLarge,
        WasiError::HttpRequestLengthRequired
        | WasiError::HttpRequestMethodInvalid
        | WasiError::HttpRequestUriInvalid => ErrorKind::InvalidInput,
        _ => ErrorKind::FunctionFailed,
    }
}

impl Drop for Live {
    /// However it ends, what it did is reported.
    fn drop(&mut self) {
        let state = self.store.data_mut();
        state.voice.end();
        let report = &mut self.ending.report;
        report.models = std::mem::take(&mut state.nn.runs);
        report.guest_memory = state.meter.memory();
        report.total = self.call.started.elapsed();
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let stage = std::mem::take(&mut self.report);
        self.exchange.end(CallReport { total: stage.total, stages: vec![stage] });
    }
}
