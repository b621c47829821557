//! What several of the programs need.

use std::future::poll_fn;
use std::task::Poll;

/// Pending so many times.
pub async fn pause(mut times: u64) {
    poll_fn(move |cx| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
