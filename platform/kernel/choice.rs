/// Declares the kernels, each a folder with a type, and names the one that this is compiled for `Native`. The
/// others are compiled too, without their `calls.rs`, so that they can be tested.
macro_rules! choose {
    ($($folder:ident::$kernel:ident on $os:literal;)*) => {
        $(
            #[cfg_attr(not(target_os = $os), allow(dead_code, reason = "its pure half is tested on every system"))]
            mod $folder;
            #[cfg(target_os = $os)]
            pub(crate) use $folder::$kernel as Native;
        )*

        #[cfg(not(any($(target_os = $os),*)))]
        compile_error!("unisend supports Linux and OpenBSD; to add a system, see CONTRIBUTING.md");
    };
}
pub(in crate::platform) use choose;
