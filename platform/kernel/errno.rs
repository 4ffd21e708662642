/// Declares a kernel's errnos by name, and checks them against libc's when compiled for that kernel.
macro_rules! errnos {
    ($os:literal, { $($name:ident = $number:literal,)* } $(and { $($own:ident = $own_number:literal,)* })?) => {
        pub(in crate::platform) const ERRNOS: &[(Errno, c_int)] = &[
            $((Errno::$name, $number),)*
            $($((Errno::$own, $own_number),)*)?
        ];

        #[cfg(target_os = $os)]
        mod held_to_libc {
            $(static_assertions::const_assert_eq!($number, libc::$name);)*
        }
    };
}
pub(in crate::platform) use errnos;
