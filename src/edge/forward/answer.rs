//! Getting an answer: a connection to the upstream, the request on it, the head that comes back. Once more on a
//! fresh connection, if the first one turned out to be closed and the request may be sent twice.

use std::task::{Context, Poll};

use super::ResponseHead;
use super::exchange::{Answer, Broken, Exchange};
use crate::edge::failure::Failure;
use crate::edge::intake::Admitted;
use crate::edge::record::Record;
use crate::edge::timer::Timer;

/// Who waits for the answer: one client, over one version of HTTP.
pub(in crate::edge) trait Waiting {
    /// The deadline of the exchange.
    fn timer(&self) -> &Timer;

    /// Moves the exchange on with the client's body, and looks whether the client is still there.
    fn poll_answer(&mut self, cx: &mut Context<'_>, exchange: &mut Exchange) -> Poll<Result<Answer, Broken>>;

    /// The upstream wants the body.
    fn go_on(&mut self);
}

/// Sends an admitted request and waits for the head of its response.
pub(in crate::edge) async fn answer(
    record: &mut Record,
    admitted: &Admitted,
    waiting: &mut impl Waiting,
) -> Result<(Exchange, ResponseHead), Failure> {
    let index = admitted.permit.upstream();
    record.forward(index);
    let rules = record.rules().clone();
    let mut fresh = false;
    loop {
        let link = rules.upstreams[index].open(fresh, waiting.timer()).await?;
        let mut exchange = Exchange::begin(&rules, admitted, link, waiting.timer());
        loop {
            match std::future::poll_fn(|cx| waiting.poll_answer(cx, &mut exchange)).await {
                Ok(Answer::Head(mut head)) => {
                    if admitted.permit.is_personal() {
                        head.keep_personal();
                    }
                    return Ok((exchange, head));
                }
                Ok(Answer::Continue) => waiting.go_on(),
                Err(broken) => {
                    record.bytes_in = exchange.bytes_in;
                    if broken.was_stale && admitted.is_idempotent && !fresh {
                        fresh = true;
                        break;
                    }
                    return Err(broken.failure);
                }
            }
        }
    }
}
