//! Table look-ups at public places: vectors of shuffles where the processor has them.

#[cfg(target_arch = "x86_64")]
mod x86;

/// `values[c] = table[places[c]]`, for places below the table's length of at most 256. The places must be public.
pub(crate) fn look_up(table: &[u8], places: &[u8], values: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if x86::look_up(table, places, values) {
        return;
    }
    look_up_one_by_one(table, places, values);
}

fn look_up_one_by_one(table: &[u8], places: &[u8], values: &mut [u8]) {
    for (value, &place) in values.iter_mut().zip(places) {
        *value = table[usize::from(place)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_find_what_single_look_ups_find() {
        for length in [2, 3, 15, 16, 17, 29, 32, 101, 251, 256] {
            let table: Vec<u8> = (0..length).map(|i| (i * 73 + 5) as u8).collect();
            for count in [0, 1, 31, 32, 33, 300] {
                let places: Vec<u8> = (0..count).map(|i| (i * 37 % length) as u8).collect();
                let (mut fast, mut plain) = (vec![0; count], vec![0; count]);
                look_up(&table, &places, &mut fast);
                look_up_one_by_one(&table, &places, &mut plain);
                assert_eq!(fast, plain, "{length} {count}");
            }
        }
    }
}
