#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = thalweg_data::fuzzing::cifar(bytes);
});
