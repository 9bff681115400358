//! One connection of the HTTP door, HTTP/1.1 or HTTP/2.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior};
use tower::ServiceExt;

use super::activity::Activity;
use super::answer::Answer;
use super::wire::Wire;
use super::{Door, Via};

/// A client has this long to send the head of its next request, or what limits.stalled_seconds says if that is less.
const HEAD_TIME: Duration = Duration::from_secs(60);

/// Bytes of an HTTP/1 connection that may wait in memory; the head of a request is no longer.
const BUFFER: usize = 128 << 10;

/// The head of an HTTP/2 request is no longer.
const HEAD: u32 = 64 << 10;

/// Requests at once on an HTTP/2 connection.
const STREAMS: u32 = 128;

/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to answer.
const PING: Duration = Duration::from_secs(30);

/// When others wait for a place, a connection that has been idle for this long makes room.
const MAKES_ROOM: Duration = Duration::from_secs(1);

/// A connection that is to end has this long to say good-bye when nothing is under way.
const FAREWELL: Duration = Duration::from_secs(2);

impl Door {
    /// Serves a connection to its end.
    pub(super) async fn connection<S>(&self, stream: S, via: Via)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stalled = self.0.hub.site().config().limits.stalled;
        let idle_time = HEAD_TIME.min(stalled);
        let activity = Activity::new();
        let service = {
            let (routes, activity) = (self.0.routes.clone(), activity.clone());
            service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(via);
                let (routes, underway) = (routes.clone(), activity.request());
                async move {
                    let response = routes.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {});
                    Ok::<_, Infallible>(response.map(|body| Answer::new(body, underway)))
                }
            })
        };
        let builder = builder(idle_time);
        let serving = builder.serve_connection(TokioIo::new(Wire::new(stream, activity.clone())), service);
        tokio::pin!(serving);
        let shutdown = self.0.hub.shutdown();
        let mut look = tokio::time::interval((idle_time / 4).min(Duration::from_secs(1)));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ending: Option<Instant> = None;
        loop {
            let idle_for = |time: Duration| activity.idle().is_some_and(|idle| idle >= time);
            let end = tokio::select! {
                served = serving.as_mut() => {
                    if let Err(error) = served {
                        tracing::debug!("http: {error}");
                    }
                    return;
                }
                () = shutdown.stop.cancelled() => return,
                () = shutdown.drain.cancelled(), if ending.is_none() => true,
                () = self.0.crowded.notified(), if ending.is_none() => idle_for(MAKES_ROOM),
                _ = look.tick() => {
                    let over = ending.is_some_and(|since| since.elapsed() >= FAREWELL && idle_for(FAREWELL));
                    if over || activity.blocked() >= stalled {
                        return;
                    }
                    ending.is_none() && idle_for(idle_time)
                }
            };
            if end {
                ending = Some(Instant::now());
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

fn builder(head_time: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head_time).max_buf_size(BUFFER);
    // Windows grow as the line needs it: 64 KiB would be slow over long distances.
    let mut second = builder.http2();
    second.timer(TokioTimer::new()).adaptive_window(true).max_concurrent_streams(STREAMS).max_header_list_size(HEAD);
    second.keep_alive_interval(PING).keep_alive_timeout(PING);
    builder
}
