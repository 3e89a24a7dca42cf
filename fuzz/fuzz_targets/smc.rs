#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| sockdiag_fuzz::targets::smc(data));
