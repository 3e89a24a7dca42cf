//! The C library's texts for error numbers, as used in messages.

/// The text for an error number, as `strerror` returns it.
pub fn errno_text(errno: i32) -> String {
    let mut text = std::io::Error::from_raw_os_error(errno).to_string();
    if let Some(end) = text.rfind(" (os error ") {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::errno_text;

    #[test]
    // Miri has its own texts.
    #[cfg_attr(miri, ignore)]
    fn errors_read_as_the_c_library_words_them() {
        assert_eq!(errno_text(2), "No such file or directory");
        assert_eq!(errno_text(0), "Success");
        assert_eq!(errno_text(-5), "Unknown error -5");
        assert_eq!(errno_text(4000), "Unknown error 4000");
    }
}
