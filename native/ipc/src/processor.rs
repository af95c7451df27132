//! Work on the widest registers that the processor has, on values that it has asked for in time.
//!
//! Programs are compiled for any 64-bit x86, whose registers hold two numbers; nearly every one there is has such for four,
//! newer ones for eight. Wider ones do the same operations in the same order, several at a time: no bit of a result depends
//! on the processor.

/// Work that is compiled for each kind of registers.
pub trait Work {
    /// What it gives.
    type Output;

    /// Does it: `#[inline(always)]`, and so all that it calls, because only what is compiled in its place is compiled for the
    /// wider registers.
    fn run(self) -> Self::Output;
}

/// Does it on the widest registers that the processor has.
///
/// ```
/// struct Sum<'a>(&'a [f64]);
///
/// impl ipc::processor::Work for Sum<'_> {
///     type Output = f64;
///
///     #[inline(always)]
///     fn run(self) -> f64 {
///         self.0.iter().sum()
///     }
/// }
///
/// assert_eq!(ipc::processor::widest(Sum(&[1.0, 2.0, 3.5])), 6.5);
/// ```
pub fn widest<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        #[allow(
            unsafe_code,
            reason = "the compiler cannot know what the processor has been asked"
        )]
        // SAFETY: the processor has just said that it has what each function is compiled for.
        unsafe {
            if has!("avx512f") && has!("avx512dq") && has!("avx512vl") {
                return with_avx512(work);
            }
            if has!("avx2") {
                return with_avx2(work);
            }
        }
    }
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
fn with_avx512<W: Work>(work: W) -> W::Output {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<W: Work>(work: W) -> W::Output {
    work.run()
}

/// Asks for values that are worked on soon, and does not wait for them.
///
/// A processor foresees what is read in long rows; of several columns, each read a piece at a time, it does not.
#[inline]
pub fn fetch<T>(values: &[T]) {
    /// What memory gives at a time.
    const LINE_BYTES: usize = 64;
    #[cfg(target_arch = "x86_64")]
    for line in values
        .iter()
        .step_by(LINE_BYTES / size_of::<T>().clamp(1, LINE_BYTES))
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[allow(unsafe_code, reason = "the processor's instruction takes an address")]
        // SAFETY: a hint, which reads and writes nothing; the address is that of a value.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(line).cast());
        }
    }
}
