// classwise_attention: K maps out of F4; map k is F4 times N softmax over the N places of (query k . F4) / sqrt(C).
//
// Ladder
//   1  as torch does: scores, softmax, scale, broadcast product, each a launch; scores and weights go to memory and back
//      three times, and the product reads F4 once a class.
//   2  one launch, a block a piece of a map: each block works out the softmax of all N places for itself, so that F4 comes
//      out of the cache N / tile times over.
//   3  (this) two launches. `scores` reads F4 once: a block takes 32 places, its warps share the channels out, and tensor
//      cores multiply (16 classes a time). The order of channels within a sum is ours to choose: so chosen that fragments
//      are plain reads of 8 and 16 bytes, with no tile in shared memory. It leaves the scores and, a class and block, their
//      maximum and the sum of their exponents. `maps` reads F4 again, from the cache, joins these few pairs, and writes
//      all K maps of a 64x32 tile that it holds in registers, 16 bytes a time, in either layout; where F4 comes in the
//      other, the tile is turned over in shared memory first.
//   4  (not yet) `maps` begins while `scores` ends (programmatic dependent launch, sm_90 and later): at 512x512 on a large
//      GPU the gap between two launches is as long as either.
//
// Floor: 2 C N (1 + K) bytes; the second reading and the scores stay in the cache. C = 256, K = 5: at 512x512 (N = 1024)
// 3.1 MB: 0.9 us at the 3.35 TB/s of an H100, 15 us at the 204.8 GB/s of an AGX Orin; at 1024x1024 12.6 MB: 3.8 us and
// 61 us. 3 K C N operations (4 M, 16 M): never the limit.
// Maps lie CHW or HWC (channels last), and so may F4. Arguments are inputs, outputs, then whole numbers only, as plug-ins
// that are compiled ahead of time want them.
#include "device.cuh"

constexpr int THREADS = 256, WARPS = THREADS / 32;
constexpr int TILE = 32;             // places of a block of `scores`, one a lane
constexpr int ROWS = 16;             // classes of a block of `scores`: the rows of the product
// Floats from class to class in shared memory. Channels last, a lane leaves pairs of places, and half a warp's lie in all
// banks; else it leaves four places at once, and a quarter's do.
template <bool CHANNELS_LAST> constexpr int STRIDE = CHANNELS_LAST ? TILE + 8 : TILE + 4;
constexpr int LONG = 64, SHORT = 32; // tile of `maps`: along the axis that is contiguous in the maps, and along the other
constexpr int TURNED = LONG + 2;     // halves of a row of the turned tile; whole words, and no two lanes in one bank
constexpr float LOG2_E = 1.44269504f;

DIS2_DEVICE float lowest() { return __uint_as_float(0xff800000u); }

// Eight halves at `from`, of which the first `count` are there; the others are 0.
template <bool WIDE> DIS2_DEVICE uint4 eight(const half* from, int count) {
    if (count <= 0) return make_uint4(0, 0, 0, 0);
    if constexpr (WIDE) {
        return *reinterpret_cast<const uint4*>(from);
    } else {
        float one[8];
        for (int i = 0; i < 8; ++i) one[i] = i < count ? to_float(from[i]) : 0.0f;
        return make_uint4(pack(one[0], one[1]), pack(one[2], one[3]), pack(one[4], one[5]), pack(one[6], one[7]));
    }
}

template <bool WIDE> DIS2_DEVICE uint2 four(const half* from, int count) {
    if (count <= 0) return make_uint2(0, 0);
    if constexpr (WIDE) {
        return *reinterpret_cast<const uint2*>(from);
    } else {
        float one[4];
        for (int i = 0; i < 4; ++i) one[i] = i < count ? to_float(from[i]) : 0.0f;
        return make_uint2(pack(one[0], one[1]), pack(one[2], one[3]));
    }
}

template <bool WIDE> DIS2_DEVICE void put_eight(half* to, const float (&value)[8], int count) {
    if constexpr (WIDE) {
        *reinterpret_cast<uint4*>(to) = make_uint4(pack(value[0], value[1]), pack(value[2], value[3]),
                                                   pack(value[4], value[5]), pack(value[6], value[7]));
    } else {
        for (int i = 0; i < 8; ++i) if (i < count) to[i] = to_half(value[i]);
    }
}

DIS2_DEVICE float most_of_warp(float value) {
    for (int step = 16; step; step /= 2) value = fmaxf(value, shuffle_xor(value, step));
    return value;  // NaN is passed over: the sum tells it
}

DIS2_DEVICE float sum_of_warp(float value) {
    for (int step = 16; step; step /= 2) value += shuffle_xor(value, step);
    return value;
}

// Which of the block's places is column `column` of the `i`th product.
template <bool CHANNELS_LAST> DIS2_DEVICE int place_of(int i, int column) {
    return CHANNELS_LAST ? 8 * i + column : 4 * column + i;
}

// Channels `channel` to `channel` + 7 of this lane's four places, two channels a word.
template <bool CHANNELS_LAST, bool WIDE>
DIS2_DEVICE void take_places(uint32_t (&to)[4][4], const half* image, int channel, int first, int channels, int places) {
    int group = threadIdx.x % 32 / 4;
    if constexpr (CHANNELS_LAST) {
        for (int i = 0; i < 4; ++i) {
            int place = first + place_of<true>(i, group);
            int count = place < places ? channels - channel : 0;
            uint4 all = eight<WIDE>(image + static_cast<size_t>(place) * channels + channel, count);
            to[i][0] = all.x, to[i][1] = all.y, to[i][2] = all.z, to[i][3] = all.w;
        }
    } else {
        int place = first + place_of<false>(0, group);
        for (int pair = 0; pair < 4; ++pair) {
            uint2 row[2];
            for (int i = 0; i < 2; ++i) {
                int of = channel + 2 * pair + i;
                row[i] = four<WIDE>(image + static_cast<size_t>(of) * places + place, of < channels ? places - place : 0);
            }
            to[0][pair] = (row[0].x & 0xffffu) | row[1].x << 16, to[1][pair] = row[0].x >> 16 | (row[1].x & 0xffff0000u);
            to[2][pair] = (row[0].y & 0xffffu) | row[1].y << 16, to[3][pair] = row[0].y >> 16 | (row[1].y & 0xffff0000u);
        }
    }
}

// The same channels of this lane's two classes.
template <bool WIDE>
DIS2_DEVICE void take_queries(uint32_t (&to)[2][4], const half* queries, int channel, int first, int channels,
                              int classes) {
    for (int i = 0; i < 2; ++i) {
        int of = first + threadIdx.x % 32 / 4 + 8 * i;
        int count = of < classes ? channels - channel : 0;
        uint4 all = eight<WIDE>(queries + static_cast<size_t>(of) * channels + channel, count);
        to[i][0] = all.x, to[i][1] = all.y, to[i][2] = all.z, to[i][3] = all.w;
    }
}

// This warp's share of the channels: 32 at a time, 8 a lane, which are two steps of the product.
template <bool CHANNELS_LAST, bool WIDE>
DIS2_DEVICE void multiply(float (&sum)[4][4], const half* image, const half* queries, int first_class, int first_place,
                          int classes, int channels, int places) {
    int warp = threadIdx.x / 32, quarter = threadIdx.x % 4;
    for (int of_warp = warp * 32; of_warp < channels; of_warp += 32 * WARPS) {
        int channel = of_warp + quarter * 8;
        uint32_t q[2][4], f[4][4];
        take_queries<WIDE>(q, queries, channel, first_class, channels, classes);
        take_places<CHANNELS_LAST, WIDE>(f, image, channel, first_place, channels, places);
        for (int i = 0; i < 4; ++i) {
            mma_16x8x16(sum[i], {q[0][0], q[1][0], q[0][1], q[1][1]}, {f[i][0], f[i][1]});
            mma_16x8x16(sum[i], {q[0][2], q[1][2], q[0][3], q[1][3]}, {f[i][2], f[i][3]});
        }
    }
}

// Leave this warp's sums, [ROWS][STRIDE].
template <bool CHANNELS_LAST> DIS2_DEVICE void leave(float* sums, const float (&sum)[4][4]) {
    int lane = threadIdx.x % 32;
    for (int r = 0; r < 4; ++r) {
        float* to = sums + (lane / 4 + r / 2 * 8) * STRIDE<CHANNELS_LAST>;
        int column = lane % 4 * 2 + r % 2;
        if constexpr (CHANNELS_LAST) {
            for (int i = 0; i < 4; ++i) to[place_of<true>(i, column)] = sum[i][r];
        } else {
            float4 four = make_float4(sum[0][r], sum[1][r], sum[2][r], sum[3][r]);
            *reinterpret_cast<float4*>(to + place_of<false>(0, column)) = four;
        }
    }
}

// The block's scores of class `row`, one a lane, and their part in the softmax, all in powers of two.
template <bool CHANNELS_LAST>
DIS2_DEVICE void tell_class(const float* sums, int row, float* scores, float2* part, float scale, int count) {
    int lane = threadIdx.x % 32;
    float score = 0.0f;
    for (int warp = 0; warp < WARPS; ++warp) score += sums[(warp * ROWS + row) * STRIDE<CHANNELS_LAST> + lane];
    score *= scale;
    bool inside = lane < count;
    if (inside) scores[lane] = score;
    float high = most_of_warp(inside ? score : lowest());
    float total = sum_of_warp(inside ? exp2_of(score - (high == lowest() ? 0.0f : high)) : 0.0f);
    if (lane == 0) *part = make_float2(high, total);
}

template <bool CHANNELS_LAST, bool WIDE>
DIS2_DEVICE void scores(const half* f4, const half* queries, float* scores, float2* parts, int classes, int channels,
                        int places) {
    DIS2_SHARED(float, sums);  // [WARPS][ROWS][STRIDE]
    int first = blockIdx.x * TILE, first_class = blockIdx.z * ROWS, warp = threadIdx.x / 32;
    const half* image = f4 + static_cast<size_t>(blockIdx.y) * channels * places;
    float sum[4][4] = {};
    multiply<CHANNELS_LAST, WIDE>(sum, image, queries, first_class, first, classes, channels, places);
    leave<CHANNELS_LAST>(sums + warp * ROWS * STRIDE<CHANNELS_LAST>, sum);
    float scale = LOG2_E / sqrtf(static_cast<float>(channels));
    block_barrier();
    for (int row = warp; row < ROWS && first_class + row < classes; row += WARPS) {
        size_t map = static_cast<size_t>(blockIdx.y) * classes + first_class + row;
        float2* part = parts + map * gridDim.x + blockIdx.x;
        tell_class<CHANNELS_LAST>(sums, row, scores + map * places + first, part, scale, places - first);
    }
}

// N times the softmax at `count` of ROOM places from `scores` on, by one warp; `parts` are the pairs that `scores` has left.
template <int ROOM>
DIS2_DEVICE void weigh(float* weights, const float* scores, const float2* parts, int count, int places) {
    int lane = threadIdx.x % 32, all = (places + TILE - 1) / TILE;
    float high = lowest(), total = 0.0f, score[ROOM / 32];
    for (int i = 0; i < ROOM / 32; ++i) score[i] = lane + 32 * i < count ? scores[lane + 32 * i] : 0.0f;  // on its way
    for (int i = lane; i < all; i += 32) high = fmaxf(high, parts[i].x);
    high = most_of_warp(high);
    for (int i = lane; i < all; i += 32) total += parts[i].y * exp2_of(parts[i].x - high);
    float unit = static_cast<float>(places) / sum_of_warp(total);
    for (int i = 0; i < ROOM / 32; ++i) {
        bool inside = lane + 32 * i < count;
        weights[lane + 32 * i] = inside ? unit * exp2_of(score[i] - high) : 0.0f;
    }
}

// This thread's eight values along the maps' contiguous axis, out of a tile that was turned over.
DIS2_DEVICE uint4 turned_eight(const half* turned) {
    const uint32_t* words = reinterpret_cast<const uint32_t*>(turned + threadIdx.x / 8 * TURNED + threadIdx.x % 8 * 8);
    return make_uint4(words[0], words[1], words[2], words[3]);
}

DIS2_DEVICE void turn(half* turned, uint4 piece) {  // it holds 8 of the short axis at one place of the long one
    half* to = turned + threadIdx.x % 4 * 8 * TURNED + threadIdx.x / 4;
    const uint32_t words[4] = {piece.x, piece.y, piece.z, piece.w};
    for (int i = 0; i < 4; ++i) {
        float low, high;
        unpack(words[i], low, high);
        to[2 * i * TURNED] = to_half(low), to[(2 * i + 1) * TURNED] = to_half(high);
    }
}

template <bool FROM_LAST, bool TO_LAST, bool WIDE>
DIS2_DEVICE void maps(const half* f4, const float* scores, const float2* parts, half* out, int classes, int channels,
                      int places) {
    constexpr int ROOM = TO_LAST ? SHORT : LONG;  // places of a tile
    DIS2_SHARED(float, weights);                  // [classes][ROOM], then the turned tile, [SHORT][TURNED] halves
    half* turned = reinterpret_cast<half*>(weights + classes * ROOM);
    int along = TO_LAST ? channels : places, across = TO_LAST ? places : channels;
    int tiles = (along + LONG - 1) / LONG;
    int first_long = blockIdx.x % tiles * LONG, first_short = blockIdx.x / tiles * SHORT;
    int row = first_short + threadIdx.x / 8, column = first_long + threadIdx.x % 8 * 8;
    int inside = row < across ? along - column : 0;  // values of this thread, if that many
    const half* image = f4 + static_cast<size_t>(blockIdx.y) * channels * places;
    uint4 piece;
    if constexpr (FROM_LAST == TO_LAST) {
        piece = eight<WIDE>(image + static_cast<size_t>(row) * along + column, inside);
    } else {
        int of = first_long + threadIdx.x / 4, from = first_short + threadIdx.x % 4 * 8;
        turn(turned, eight<WIDE>(image + static_cast<size_t>(of) * across + from, of < along ? across - from : 0));
    }
    int first_place = TO_LAST ? first_short : first_long, pairs = (places + TILE - 1) / TILE;
    for (int k = threadIdx.x / 32; k < classes; k += WARPS) {
        size_t map = static_cast<size_t>(blockIdx.y) * classes + k;
        const float* here = scores + map * places + first_place;
        weigh<ROOM>(weights + k * ROOM, here, parts + map * pairs, places - first_place, places);
    }
    block_barrier();
    if (inside <= 0) return;
    if constexpr (FROM_LAST != TO_LAST) piece = turned_eight(turned);
    float value[8], weighed[8];
    unpack(piece.x, value[0], value[1]), unpack(piece.y, value[2], value[3]);
    unpack(piece.z, value[4], value[5]), unpack(piece.w, value[6], value[7]);
    half* to = out + (static_cast<size_t>(blockIdx.y) * classes * across + row) * along + column;
    for (int k = 0; k < classes; ++k, to += static_cast<size_t>(across) * along) {
        const float* weight = weights + k * ROOM + (TO_LAST ? row - first_short : column - first_long);
        for (int i = 0; i < 8; ++i) weighed[i] = weight[TO_LAST ? 0 : i] * value[i];
        put_eight<WIDE>(to, weighed, inside);
    }
}

#define SCORES(name, CHANNELS_LAST, WIDE)                                                                       \
    DIS2_KERNEL(name, 256)(const half* f4, const half* queries, float* told, float2* parts, int classes,        \
                           int channels, int places) {                                                          \
        scores<CHANNELS_LAST, WIDE>(f4, queries, told, parts, classes, channels, places);                       \
    }

#define MAPS(name, FROM_LAST, TO_LAST, WIDE)                                                                    \
    DIS2_KERNEL(name, 256)(const half* f4, const float* told, const float2* parts, half* out, int classes,      \
                           int channels, int places) {                                                          \
        maps<FROM_LAST, TO_LAST, WIDE>(f4, told, parts, out, classes, channels, places);                        \
    }

SCORES(classwise_scores_chw_x8, false, true)
SCORES(classwise_scores_chw_x1, false, false)
SCORES(classwise_scores_hwc_x8, true, true)
SCORES(classwise_scores_hwc_x1, true, false)
MAPS(classwise_maps_chw_chw_x8, false, false, true)
MAPS(classwise_maps_chw_chw_x1, false, false, false)
MAPS(classwise_maps_chw_hwc_x8, false, true, true)
MAPS(classwise_maps_chw_hwc_x1, false, true, false)
MAPS(classwise_maps_hwc_chw_x8, true, false, true)
MAPS(classwise_maps_hwc_chw_x1, true, false, false)
MAPS(classwise_maps_hwc_hwc_x8, true, true, true)
MAPS(classwise_maps_hwc_hwc_x1, true, true, false)
