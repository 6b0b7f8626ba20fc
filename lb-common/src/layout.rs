//! The layout proof: size, alignment, no padding, and only then `Pod`.

/// Proves a map type's layout and grants `aya::Pod` (feature `user`).
///
/// The sum of the fields' sizes must equal the size of the type, so padding cannot hide; a field
/// that is not listed does not compile.
macro_rules! map_type {
    ($ty:ident { $($field:ident: $fty:ty),+ $(,)? } size $size:literal align $align:literal) => {
        const _: () = {
            use core::mem::{align_of, size_of};
            assert!(
                size_of::<$ty>() == $size,
                concat!(stringify!($ty), ": size changed, bump LAYOUT_VERSION")
            );
            assert!(
                align_of::<$ty>() == $align,
                concat!(stringify!($ty), ": alignment changed, bump LAYOUT_VERSION")
            );
            assert!(
                0 $(+ size_of::<$fty>())+ == $size,
                concat!(stringify!($ty), ": implicit padding")
            );
            let _ = |v: $ty| {
                let $ty { $($field),+ } = v;
                $(let _: $fty = $field;)+
            };
        };
        #[cfg(feature = "user")]
        const _: () = {
            const fn pod<T: aya::Pod>() {}
            $(pod::<$fty>();)+
        };
        // SAFETY: no padding (asserted above), every field is `Pod` (checked above), and the type
        // is `Copy + 'static`.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $ty {}
    };
}
