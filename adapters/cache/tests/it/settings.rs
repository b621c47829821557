//! Settings that make no sense are refused by name.

use dogpile::Dogpile;
use dogpile_cache::CacheDogpile;

use crate::support::MINUTE;
use crate::table::Table;

#[test]
#[should_panic(expected = "min_interval")]
fn two_that_make_no_sense_together() {
    let settings = Dogpile::<u32>::builder(MINUTE)
        .stale_while_revalidate(MINUTE)
        .min_interval(3 * MINUTE);
    let pile: CacheDogpile<u32, u32, _> = CacheDogpile::new(Table::default(), settings.keyed());
    drop(pile);
}
