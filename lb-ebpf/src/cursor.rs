//! A bounds-checked, forward-only view of a frame.

use core::marker::PhantomData;

/// A type that may be laid over packet bytes.
///
/// # Safety
///
/// Every bit pattern must be a valid value and there must be no padding. Alignment must be 1, or
/// the type must only ever be taken at an offset that satisfies it.
pub unsafe trait Header: Copy {}

/// What is left of a frame.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    pos: usize,
    end: usize,
    frame: PhantomData<&'a mut [u8]>,
}

impl<'a> Cursor<'a> {
    /// Over a frame in memory.
    pub fn new(frame: &'a mut [u8]) -> Self {
        let range = frame.as_mut_ptr_range();
        Self { pos: range.start as usize, end: range.end as usize, frame: PhantomData }
    }

    /// Over the frame between two addresses, as an XDP context gives them.
    ///
    /// # Safety
    ///
    /// `start..end` must be readable and writable for `'a`, and nothing else may hold references
    /// into it while a header taken from this cursor is in use.
    #[inline(always)]
    pub unsafe fn from_addresses(start: usize, end: usize) -> Self {
        Self { pos: start, end, frame: PhantomData }
    }

    /// Bytes not yet taken.
    #[inline(always)]
    pub fn left(&self) -> usize {
        self.end - self.pos
    }

    /// The next header, or `None` when it does not fit; then nothing is taken.
    #[inline(always)]
    pub fn take<T: Header>(&mut self) -> Option<&'a mut T> {
        let at = self.pos;
        // The verifier wants exactly this comparison before it allows the access.
        if at + size_of::<T>() > self.end {
            return None;
        }
        self.pos = at + size_of::<T>();
        // SAFETY: the bytes lie within the frame (checked above); `Header` admits any bytes and
        // the place's alignment; the cursor moves on, so no second reference to them is made.
        Some(unsafe { &mut *(at as *mut T) })
    }
}

// SAFETY: bytes.
unsafe impl<const N: usize> Header for [u8; N] {}
