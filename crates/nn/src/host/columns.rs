//! A convolution as a matrix product: images to columns and back, a band of output rows at a time.

use std::ops::Range;

use thalweg_descent::Real;

/// The sizes of a two-dimensional convolution of one image; all valid, which [`Conv2dConfig`](crate::Conv2dConfig) checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) filters: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) groups: usize,
}

/// About how many numbers a band of columns may hold: 512 kB of `f32`, half of a usual second-level cache.
const BAND: usize = 1 << 17;

impl Geometry {
    /// Height and width of the output; `None` when the kernel does not fit into the padded image.
    pub(crate) fn output(&self) -> Option<[usize; 2]> {
        Some([self.output_along(0, self.height)?, self.output_along(1, self.width)?])
    }

    fn output_along(&self, axis: usize, length: usize) -> Option<usize> {
        let span = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
        let free = (length + 2 * self.padding[axis]).checked_sub(span)?;
        Some(free / self.stride[axis] + 1)
    }

    pub(crate) fn output_height(&self) -> usize {
        self.output().map_or(0, |[height, _]| height)
    }

    pub(crate) fn output_width(&self) -> usize {
        self.output().map_or(0, |[_, width]| width)
    }

    /// Output positions T.
    pub(crate) fn positions(&self) -> usize {
        self.output_height() * self.output_width()
    }

    /// Numbers in one input image.
    pub(crate) fn image(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Numbers in one output image.
    pub(crate) fn features(&self) -> usize {
        self.filters * self.positions()
    }

    /// Rows of the columns of one group: input channels of the group times kernel entries.
    pub(crate) fn patch(&self) -> usize {
        self.channels / self.groups * self.kernel[0] * self.kernel[1]
    }

    /// Filters of one group.
    pub(crate) fn group_filters(&self) -> usize {
        self.filters / self.groups
    }

    /// Numbers in one group's input.
    pub(crate) fn group_image(&self) -> usize {
        self.image() / self.groups
    }

    /// Whether the image is its own matrix of columns.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    /// Bands of output rows whose columns fit the cache.
    pub(crate) fn bands(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (height, row) = (self.output_height(), self.patch() * self.output_width());
        let rows = if self.is_pointwise() { height } else { (BAND / row.max(1)).clamp(1, height.max(1)) };
        (0..height).step_by(rows.max(1)).map(move |start| start..(start + rows).min(height))
    }
}

/// Numbers between two rows of columns that are not used. Without them, rows whose length is a power of two meet in the same
/// few cache lines: a product with 1,024 columns runs at a quarter of its speed.
const GAP: usize = 16;

/// The distance between two rows of the columns of a band with that many output positions.
pub(crate) fn column_stride(band: usize) -> usize {
    band + GAP
}

/// Fills `columns`, of shape `[patch, rows * output_width]` and row stride [`column_stride`], from one group's image.
pub(crate) fn gather<F: Real>(geometry: &Geometry, image: &[F], rows: Range<usize>, columns: &mut [F]) {
    let width = geometry.output_width();
    let band = rows.len() * width;
    for_each_tap(geometry, |row, channel, tap| {
        let column = &mut columns[row * column_stride(band)..][..band];
        if let Some(shift) = Shift::of(geometry, &rows, tap) {
            let plane = &image[channel * geometry.height * geometry.width..][..geometry.height * geometry.width];
            column[..shift.target.start].fill(F::default());
            column[shift.target.end..].fill(F::default());
            column[shift.target.clone()].copy_from_slice(&plane[shift.source]);
            clear_edges(column, width, tap.across);
            return;
        }
        for (y, target) in rows.clone().zip(column.chunks_exact_mut(width)) {
            match tap.source_row(geometry, channel, y) {
                Some(start) => gather_row(geometry, &image[start..start + geometry.width], tap.across, target),
                None => target.fill(F::default()),
            }
        }
    });
}

/// Adds `columns` back to where [`gather`] took them from: its transpose. Entries that came from the padding may be cleared.
pub(crate) fn scatter<F: Real>(geometry: &Geometry, columns: &mut [F], rows: Range<usize>, image: &mut [F]) {
    let width = geometry.output_width();
    let band = rows.len() * width;
    for_each_tap(geometry, |row, channel, tap| {
        let column = &mut columns[row * column_stride(band)..][..band];
        if let Some(shift) = Shift::of(geometry, &rows, tap) {
            let plane = &mut image[channel * geometry.height * geometry.width..][..geometry.height * geometry.width];
            clear_edges(column, width, tap.across);
            for (target, source) in plane[shift.source].iter_mut().zip(&column[shift.target]) {
                *target += *source;
            }
            return;
        }
        for (y, source) in rows.clone().zip(column.chunks_exact(width)) {
            if let Some(start) = tap.source_row(geometry, channel, y) {
                scatter_row(geometry, source, tap.across, &mut image[start..start + geometry.width]);
            }
        }
    });
}

/// Where the output is as wide as the image and the stride is 1, a tap sees the whole plane moved by a constant: one long copy,
/// after which only the entries that wrapped round the edges are wrong.
struct Shift {
    source: Range<usize>,
    target: Range<usize>,
}

impl Shift {
    fn of(geometry: &Geometry, rows: &Range<usize>, tap: Tap) -> Option<Self> {
        let (height, width) = (geometry.height as isize, geometry.width as isize);
        if geometry.stride != [1, 1] || geometry.output_width() != geometry.width || tap.across.abs() >= width {
            return None;
        }
        let first = (rows.start as isize).max(-tap.down);
        let end = (rows.end as isize).min(height - tap.down);
        if first >= end {
            return None;
        }
        let from = (first + tap.down) * width + tap.across;
        let to = (end + tap.down) * width + tap.across;
        let source = from.max(0)..to.min(height * width);
        let move_back = tap.down * width + tap.across + rows.start as isize * width;
        let index = |at: isize| at as usize;
        Some(Self {
            target: index(source.start - move_back)..index(source.end - move_back),
            source: index(source.start)..index(source.end),
        })
    }
}

/// Sets to 0 what a shift across brought in from the neighbouring rows.
fn clear_edges<F: Real>(column: &mut [F], width: usize, across: isize) {
    let wrapped = across.unsigned_abs();
    if wrapped == 0 {
        return;
    }
    for row in column.chunks_exact_mut(width) {
        let edge = if across < 0 { &mut row[..wrapped] } else { &mut row[width - wrapped..] };
        edge.fill(F::default());
    }
}

/// One entry of the kernel, as its distance from the window's corner in the unpadded image.
#[derive(Clone, Copy)]
struct Tap {
    down: isize,
    across: isize,
}

impl Tap {
    /// Where the image row begins that output row `y` sees through this tap; `None` in the padding.
    fn source_row(self, geometry: &Geometry, channel: usize, y: usize) -> Option<usize> {
        let row = usize::try_from((y * geometry.stride[0]) as isize + self.down).ok()?;
        (row < geometry.height).then(|| (channel * geometry.height + row) * geometry.width)
    }
}

fn for_each_tap(geometry: &Geometry, mut work: impl FnMut(usize, usize, Tap)) {
    let [tall, wide] = geometry.kernel;
    for channel in 0..geometry.channels / geometry.groups {
        for at in 0..tall * wide {
            let down = (at / wide * geometry.dilation[0]) as isize - geometry.padding[0] as isize;
            let across = (at % wide * geometry.dilation[1]) as isize - geometry.padding[1] as isize;
            work(channel * tall * wide + at, channel, Tap { down, across });
        }
    }
}

/// The outputs of a row whose input lies inside the image: those `x` with `0 <= x * stride + across < width`.
fn inside(geometry: &Geometry, across: isize) -> Range<usize> {
    let (stride, width) = (geometry.stride[1], geometry.width as isize);
    let first = usize::try_from(-across).map_or(0, |short| short.div_ceil(stride));
    let end = usize::try_from(width - across).map_or(0, |room| room.div_ceil(stride));
    let end = end.min(geometry.output_width());
    first.min(end)..end
}

fn gather_row<F: Real>(geometry: &Geometry, source: &[F], across: isize, target: &mut [F]) {
    let inside = inside(geometry, across);
    let stride = geometry.stride[1];
    target[..inside.start].fill(F::default());
    target[inside.end..].fill(F::default());
    if inside.is_empty() {
        return;
    }
    let first = ((inside.start * stride) as isize + across) as usize;
    let target = &mut target[inside];
    if stride == 1 {
        target.copy_from_slice(&source[first..first + target.len()]);
        return;
    }
    for (target, source) in target.iter_mut().zip(source[first..].iter().step_by(stride)) {
        *target = *source;
    }
}

fn scatter_row<F: Real>(geometry: &Geometry, source: &[F], across: isize, target: &mut [F]) {
    let inside = inside(geometry, across);
    let stride = geometry.stride[1];
    if inside.is_empty() {
        return;
    }
    let first = ((inside.start * stride) as isize + across) as usize;
    let source = &source[inside];
    if stride == 1 {
        for (target, source) in target[first..first + source.len()].iter_mut().zip(source) {
            *target += *source;
        }
        return;
    }
    for (target, source) in target[first..].iter_mut().step_by(stride).zip(source) {
        *target += *source;
    }
}
