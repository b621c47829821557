//! Lets ThreadSanitizer see how an `Arc` is dropped: linked by .ci/sanitizers.
//!
//! The standard library gives a share back with a release, and the last one passes an acquire fence
//! before it drops what was shared. The sanitizer knows no fences, and so reports every drop of
//! something that another thread has used. The library has a load in place of the fence for builds
//! with the sanitizer, but it comes compiled without. Here every release that counts down becomes an
//! acquire as well, which says the same. What is relaxed stays relaxed.
#![no_std]

const RELEASE: i32 = 3;
const ACQUIRE_RELEASE: i32 = 4;

unsafe extern "C" {
    fn __real___tsan_atomic64_fetch_sub(at: *mut u64, less: u64, order: i32) -> u64;
}

/// # Safety
///
/// As for the real one, which the compiler calls for every `fetch_sub` of a word.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___tsan_atomic64_fetch_sub(
    at: *mut u64,
    less: u64,
    order: i32,
) -> u64 {
    let order = if order == RELEASE {
        ACQUIRE_RELEASE
    } else {
        order
    };
    // SAFETY: as promised by the caller.
    unsafe { __real___tsan_atomic64_fetch_sub(at, less, order) }
}
