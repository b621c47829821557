use dogpile::{Dogpile, Lookup, SyncReaderDogpile};
use std::future::{Pending, pending};
use std::mem::size_of_val as s;
use std::time::Duration;
#[test]
fn probe() {
    let p = Dogpile::<[u64; 99]>::new(Duration::from_secs(60));
    let r = SyncReaderDogpile::<[u64; 99]>::new(Duration::from_secs(60));
    println!(
        "plain short get_or_create {}",
        s(&p.get_or_create_async(pending))
    );
    println!(
        "plain short try {}",
        s(&p.get_or_try_create_async(pending::<Result<[u64; 99], u8>>))
    );
    println!(
        "plain short with {}",
        s(
            &p.get_or_try_create_with_async(
                |_| pending::<Result<dogpile::Created<[u64; 99]>, u8>>()
            )
        )
    );
    println!(
        "plain call get_or_create {}",
        s(&p.call().get_or_create_async(pending))
    );
    println!(
        "plain call try {}",
        s(&p.call()
            .get_or_try_create_async(pending::<Result<[u64; 99], u8>>))
    );
    println!(
        "reader short get_or_create {}",
        s(&r.get_or_create_async(pending))
    );
    println!(
        "reader call get_or_create {}",
        s(&r.call().get_or_create_async(pending))
    );
    let p = Dogpile::<u64>::new(Duration::from_secs(60));
    let r = SyncReaderDogpile::<u64>::new(Duration::from_secs(60));
    let g = || -> Pending<Result<Lookup<u64>, u8>> { pending() };
    println!(
        "plain acquire u64 {}",
        s(&p.acquire_async(pending::<Result<u64, u8>>, g))
    );
    println!(
        "reader acquire u64 {}",
        s(&r.acquire_async(pending::<Result<u64, u8>>, g))
    );
}
