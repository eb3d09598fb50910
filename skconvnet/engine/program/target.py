"""What a plan must know of the machine that runs it."""

from dataclasses import dataclass, replace

__all__ = ["CPU", "GPU", "LINE", "UNLIMITED", "Target", "round_to_line"]

LINE = 16  # float32 in a cache line of 64 bytes: sizes and offsets in memory are rounded to it
UNLIMITED = 2**62


def round_to_line(size):
    """Round a number of float32 up to whole cache lines."""
    return int(-(-size // LINE) * LINE)


@dataclass(frozen=True)
class Target:
    """The numbers of a machine that decide how a plan is cut and laid out.

    Sizes are in float32 elements, work is in multiply-adds.

    Parameters
    ----------
    lanes : int
        Depths are padded to a multiple of it: the vector of the kernels, and the narrowest panel of a contraction.
    max_shards : int
        The most shards of a batch. Each has a gradient slot, and is worked on by one worker.
    shard_of_heavy_weights : int
        Samples of a shard at least, if its micro-batches read transformed weights that are larger than `arena`.
    max_micro_batch : int
        The most samples of a shard that go through the network together.
    arena, largest_arena : int
        Size that the volumes of a micro-batch may fill: what a worker's cache holds; and the size up to which they may
        fill as much as the transformed weights that every micro-batch reads.
    defers_fc_gradients : bool
        Whether the weight gradients of FC layers are computed in the update, block by block over the whole batch, in
        place of once for each shard.
    split_weights : int
        Size of an FC layer's weights above which the layer is computed over the whole batch, a part by each worker.
    split_flops : int
        Work of a layer above which workers that have no image of their own compute a part of it.
    split_image_flops : int
        Work of a single image above which it is split among the workers.
    worker_flops : int
        Work that takes as long as waking a worker.
    spared_flops : int
        Work on the zero-padding of an image above which more instructions are written to leave it out.
    winograd_depth, winograd_extent : int
        Channels and filters, and output rows and columns, from which a CONV of F = 3 or 5 and S = 1 is computed by
        Winograd's minimal filtering.
    winograd_band : int
        Size that the transformed tiles of one image may fill.
    winograd_tiles : int
        Tiles of a batch below which transformed weights that outgrow `winograd_band` are not kept, but transformed
        again.
    winograd_block : tuple of int
        Rows and columns of a block of them.
    winograd_sums : int
        Size that the transformed gradient of a layer's weights may fill in a worker's arena.
    tile_rows : int
        Rows of a contraction from which a register tile is full.
    wide_row : int
        Columns of a weight matrix from which rows are spread over the sets of a cache: see `row_stride`.
    block : int
        Size of a block of parameters in the update.
    max_blocks : int
        The most blocks of a layer. Larger blocks are made where there would be more.
    has_depthwise : bool, default=False
        Whether one instruction computes a CONV with as many groups as channels and filters.
    loops_groups : bool, default=False
        Whether one CONTRACT computes all groups of a layer, in place of one for each group.
    runs_in_step : bool, default=False
        Whether every instruction is executed for all samples of the batch before the next one. Volumes then share
        memory instruction by instruction, and no sample needs a place in an arena. Needs one shard and no limit of
        micro-batches.
    keeps_zeros : bool, default=False
        Whether zeros that stay, as those of borders, are written once when memory is allocated, in place of every step.
    largest_offset : int, default=UNLIMITED
        The largest distance of an element from the address of its operand.
    """

    lanes: int
    max_shards: int
    shard_of_heavy_weights: int
    max_micro_batch: int
    arena: int
    largest_arena: int
    defers_fc_gradients: bool
    split_weights: int
    split_flops: int
    split_image_flops: int
    worker_flops: int
    spared_flops: int
    winograd_depth: int
    winograd_extent: int
    winograd_band: int
    winograd_tiles: int
    winograd_block: tuple[int, int]
    winograd_sums: int
    tile_rows: int
    wide_row: int
    block: int
    max_blocks: int
    has_depthwise: bool = False
    loops_groups: bool = False
    runs_in_step: bool = False
    keeps_zeros: bool = False
    largest_offset: int = UNLIMITED

    def pad(self, depth):
        """Round a depth up to a multiple of `lanes`."""
        return -(-depth // self.lanes) * self.lanes

    def row_stride(self, columns):
        """Return the distance between two rows of weights, `columns` or more.

        A register tile reads two lines of each row. At a distance of 2**k lines the rows fall into 1 of 2**k sets of
        the cache and evict one another. At an odd number of lines they use all sets.
        """
        return columns + LINE if columns >= self.wide_row and columns % (2 * LINE) == 0 else columns


CPU = Target(
    lanes=8,
    max_shards=16,
    shard_of_heavy_weights=4,
    max_micro_batch=16,
    arena=256 * 1024,  # a second-level cache of 1 MiB
    largest_arena=2048 * 1024,
    defers_fc_gradients=True,
    split_weights=128 * 1024,
    split_flops=512 * 1024,
    split_image_flops=16_000_000,
    worker_flops=2_000_000,
    spared_flops=8192,
    winograd_depth=16,
    winograd_extent=7,
    winograd_band=128 * 1024,
    winograd_tiles=64,
    winograd_block=(32, 64),
    winograd_sums=1024 * 1024,
    tile_rows=12,
    wide_row=192,
    block=8192,
    max_blocks=4096,
    has_depthwise=True,
)

# Every instruction is a launch, which takes microseconds, so there are as few as possible, each over the whole batch.
# Blocks of the update are the CPU's: one launch takes all of them, and is balanced best by many blocks of one size.
# `lanes` and `wide_row` are the CPU's: they lay out the parameters, and a training may go on where the other began.
GPU = replace(
    CPU,
    max_shards=1,
    max_micro_batch=UNLIMITED,
    arena=UNLIMITED,
    largest_arena=UNLIMITED,
    defers_fc_gradients=False,
    split_weights=UNLIMITED,
    split_flops=UNLIMITED,
    split_image_flops=UNLIMITED,
    worker_flops=UNLIMITED,
    spared_flops=UNLIMITED,
    winograd_depth=UNLIMITED,  # it has no kernel for it
    has_depthwise=False,
    loops_groups=True,
    runs_in_step=True,
    keeps_zeros=True,
    largest_offset=2**31 - 1,  # kernels count in int32
)
