//! Getting an answer: a connection to an endpoint, the request on it, the head that comes back. Once more at another one, if
//! the first has failed and the request may be sent twice.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use super::ResponseHead;
use super::exchange::{Answer, Broken, Exchange};
use crate::edge::failure::Failure;
use crate::edge::framing::Framing;
use crate::edge::intake::Admitted;
use crate::edge::record::Record;
use crate::edge::timer::Timer;
use crate::edge::upstream::{Attempt, Outcome};

/// Who waits for the answer: one client, over one version of HTTP.
pub(in crate::edge) trait Waiting {
    /// The deadline of the exchange, and what is ready once the client is gone, as far as somebody has to look.
    fn parts(&mut self) -> (&Timer, impl FnMut(&mut Context<'_>) -> Poll<()>);

    /// Moves the exchange on with the client's body, and looks whether the client is still there.
    fn poll_answer(&mut self, cx: &mut Context<'_>, exchange: &mut Exchange) -> Poll<Result<Answer, Broken>>;

    /// The upstream wants the body.
    fn go_on(&mut self);

    /// The upstream says something before its response.
    fn hear(&mut self, interim: &ResponseHead);
}

/// Sends an admitted request and waits for the head of its response, until its route wants it to be over.
pub(in crate::edge) async fn answer(
    record: &mut Record,
    admitted: &Admitted,
    waiting: &mut impl Waiting,
) -> Result<(Exchange, Box<ResponseHead>), Failure> {
    waiting.parts().0.end(admitted.ends);
    let answered = tried(record, admitted, waiting).await;
    // From here on the exchange itself knows, and a failure has to be told.
    waiting.parts().0.end(None);
    answered
}

async fn tried(
    record: &mut Record,
    admitted: &Admitted,
    waiting: &mut impl Waiting,
) -> Result<(Exchange, Box<ResponseHead>), Failure> {
    let index = admitted.permit.upstream();
    record.forward(index);
    let rules = record.rules().clone();
    // What was sent of a body can't be sent again: nobody has kept it.
    let may_repeat = admitted.is_idempotent && !admitted.has_body();
    let (timer, gone) = waiting.parts();
    let pool = &rules.pools[index];
    let mut attempt = {
        let begun = pin!(Attempt::begin(pool, || record.key(), admitted.ends, timer));
        unless_gone(begun, gone).await?
    };
    if pool.upstream.settings.proxy_protocol.is_some() {
        attempt.introduce(record.introduction());
    }
    loop {
        record.begin_try();
        let (timer, gone) = waiting.parts();
        let line = {
            let opened = pin!(attempt.open(timer));
            unless_gone(opened, gone).await?
        };
        let endpoint = line.endpoint().clone();
        let head =
            admitted.head(&rules.policy, &record.at(&endpoint, admitted, line.protocol()), record.now());
        let mut exchange = Exchange::begin(&rules, admitted, head, line, waiting.parts().0)?;
        match head_of(&mut exchange, waiting).await {
            Ok(mut head) => {
                record.heard(head.status);
                if attempt.goes_on(&endpoint, Outcome::Answer(head.status), may_repeat) {
                    record.end_try(None);
                    attempt.take_back(exchange.into_line());
                    continue;
                }
                if admitted.permit.is_personal() {
                    head.keep_personal();
                }
                compress(record, admitted, &mut exchange, &mut head);
                return Ok((exchange, head));
            }
            Err(broken) => {
                record.bytes_in = exchange.bytes_in();
                let is_stale = broken.was_unseen || broken.was_stale && admitted.is_idempotent;
                // That a connection was closed while nobody used it says nothing of the endpoint.
                let goes_on = is_stale && attempt.goes_on_fresh()
                    || !broken.was_stale
                        && attempt.goes_on(&endpoint, Outcome::Failure(broken.failure), may_repeat);
                if !goes_on {
                    return Err(broken.failure);
                }
                record.end_try(Some(broken.failure));
                attempt.take_back(exchange.into_line());
            }
        }
    }
}

/// Has the response compressed, if its route wants that, the client does, and there is a place for one more body.
fn compress(record: &Record, admitted: &Admitted, exchange: &mut Exchange, head: &mut ResponseHead) {
    let Some(compression) = &admitted.terms.compression else { return };
    let has_body = head.framing != Framing::Length(0);
    let mut place = None;
    let coding = head.compress(compression, || {
        let coding = admitted.coding?;
        if has_body {
            place = Some(record.begin_compression()?);
        }
        Some(coding)
    });
    if let (Some(coding), Some(place)) = (coding, place) {
        exchange.compress(coding, place, record.metrics());
    }
}

/// Waits as long as the client is there. Whoever is gone gives its place up.
fn unless_gone<T>(
    mut doing: Pin<&mut impl Future<Output = Result<T, Failure>>>,
    mut gone: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> impl Future<Output = Result<T, Failure>> {
    std::future::poll_fn(move |cx| match doing.as_mut().poll(cx) {
        Poll::Pending => gone(cx).map(|()| Err(Failure::ClientGone)),
        done => done,
    })
}

/// The head of the response.
async fn head_of(exchange: &mut Exchange, waiting: &mut impl Waiting) -> Result<Box<ResponseHead>, Broken> {
    loop {
        match std::future::poll_fn(|cx| waiting.poll_answer(cx, exchange)).await? {
            Answer::Head(head) => return Ok(head),
            Answer::Continue => waiting.go_on(),
            Answer::Interim(head) => waiting.hear(&head),
        }
    }
}
