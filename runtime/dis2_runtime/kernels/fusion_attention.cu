// fusion_attention: out = softmax(q k' / sqrt(32)) v for every head of size 32, without the scores ever being written.
//
// Ladder
//   1  scores, softmax and product as three calls: the scores (N M floats a head; 134 MB at N = M = 2050 and 8 heads) go
//      to memory and come back three times.
//   2  online softmax in one pass: a block holds 64 queries, keys and values come by in tiles of 64, mma does both products
//      and the weights stay in registers, as the second one's operand. Near 8 instructions a score and lane: scale, maximum,
//      exponential, sum, rounding, products, loads, and every tile rescales all sums for a maximum that hardly moves.
//   3  (this) 7.0, counted in what nvcc 13.0 makes for sm_90: 223 once round the loop, for 32 scores a lane (230 for sm_87,
//      197 for sm_110): 32 each of exponentials and multiply-adds, 36 mma, 16 roundings, 16 reads of shared memory, and 91
//      for copies, votes, addresses and the loop. Nobody looks for a maximum: the offset of a row's exponents is set on its
//      first tile so that its largest weight is 2^7, and kept until a tile's sum passes 2^15; then that tile is done again
//      with a new offset. Scale and offset are one multiply-add. Sums are one more column of the second product, so
//      numerator and denominator are made of the same rounded weights.
//   4  where the grid is too small for the GPU (`_split`): two groups of four warps share a block's keys and meet at its end.
//   Not done: a part of the exponentials as a cubic on the multiply-add units. mma is the next limit and close, and so is
//      the count of instructions: nothing to win. Two halves at once (ex2.f16x2) become two instructions of the same
//      unit on sm_87, sm_90 and sm_110, so they would cost accuracy for nothing.
//
// Floor, in scores (query, key, head) a clock and SM; each takes one exponential and 72 multiply-adds of mma:
//   exponentials 16 everywhere; mma 17 on an H100 (if mma.sync reaches 62 % of its 2,048 multiply-adds), 14 on an Orin
//   (1,024); instructions 18 (128 lanes). So exponentials rule an H100, mma and instructions close behind, and mma rules an
//   Orin. One batch, 8 heads:
//                          scores    H100, 132 SMs, 1.755 GHz   AGX Orin, 16 SMs, 1.3 GHz    bytes: H100, Orin
//     N 2050, M 2050       33.6 M    9.1 us                     114 us                        4.2 MB: 1.3 us, 21 us
//     N 2050, M 130         2.4 M    0.6 us                       8 us                        2.2 MB: 0.7 us, 11 us
//   At 130 keys memory and the launch itself are the limit. Keys beyond the last whole tile go in steps of 16, so 130 cost
//   144 and not 192. Registers 116 (sm_87), 122 (sm_90), 127 (sm_110), shared memory 16 KiB a group: 16 warps an SM.
//
// Shared memory: a key is read as one 16-byte piece a lane, 512 bytes in a row a warp, as the order in which a head's 32
// numbers are multiplied is free; values' pieces are turned by row / 2, so that eight rows of a matrix lie in eight different
// groups of banks. Neither has a conflict. One barrier a tile: the copies of the next run behind the products.
//
// qk8: keys are bytes with a scale a tile (a small kernel before), queries bytes with a scale a row (made here), and the first
// product is that of bytes: 56 units of mma in place of 72. So an Orin could come from 114 us to 101 at M = 2050, where
// exponentials rule again; an H100 gains nothing, and M = 130 loses by one more launch.
#include "fusion_scores.cuh"

constexpr int WARPS = 4, QUERIES = 16 * WARPS;  // of a group
constexpr int KEYS = 64;                        // that a group takes at a time

// Set the offsets by the largest scores found.
template <int N, typename Scores> DIS2_DEVICE void settle(const float (&found)[N][4], const Scores& scores, Rows& rows) {
    for (int r = 0; r < 2; ++r) {
        float highest = -FAR;
        for (int j = 0; j < N; ++j) highest = fmaxf(highest, fmaxf(found[j][2 * r], found[j][2 * r + 1]));
        highest = highest_of_row(highest);
        if (highest > -FAR) rows.lower(r, scores.exponent(r, highest));  // else nothing but NaN and minus infinity
    }
}

// The weights of 8 N scores as halves, where the second product wants its operand: just where the first leaves its answer.
template <int N, typename Scores>
DIS2_DEVICE void weigh(uint32_t (&weights)[N / 2][4], const float (&found)[N][4], const Scores& scores, const Rows& rows) {
    for (int g = 0; g < N / 2; ++g)
        for (int i = 0; i < 4; ++i) {
            int r = i % 2;
            const float* two = found[2 * g + i / 2] + 2 * r;
            float slope = scores.slope(r), offset = scores.shifted(r, rows.offset[r]);
            weights[g][i] = pack(exp2_of(fmaf(two[0], slope, offset)), exp2_of(fmaf(two[1], slope, offset)));
        }
}

// Let the rows hear 8 N keys, of which the first `left` are any.
template <int N, bool TAIL, typename Scores>
DIS2_DEVICE void hear(Rows& rows, const Scores& scores, const unsigned char* keys, const unsigned char* values, int left) {
    int lane = lane_of(), turned = 2 * HEAD * (lane % 16) + 16 * (lane / 16 ^ (lane / 2 % 4));
    const unsigned char* half_of[2] = {values + turned, values + (turned ^ 32)};
    float sums[4];  // of the two rows, twice each
    uint32_t weights[N / 2][4];
    bool again = false, done;
    do {
        float found[N][4];
        scores.take(found, keys);
        for (int j = 0; TAIL && j < N; ++j)
            for (int i = 0; i < 4; ++i) if (8 * j + lane % 4 * 2 + i % 2 >= left) found[j][i] = BEHIND;
        if (again || votes(rows.fresh())) settle(found, scores, rows);
        weigh(weights, found, scores, rows);
        for (int i = 0; i < 4; ++i) sums[i] = 0.0f;
        for (int g = 0; g < N / 2; ++g) mma_16x8x16(sums, weights[g], {ONES, ONES});
        done = again || !votes(!(sums[0] < MOST && sums[2] < MOST));
        again = true;
    } while (!done);
    rows.sum[0] += sums[0], rows.sum[1] += sums[2];
    for (int g = 0; g < N / 2; ++g)
        for (int h = 0; h < 2; ++h) {
            uint32_t value[4];
            load_matrices_transposed(value, half_of[h] + 32 * HEAD * g);
            mma_16x8x16(rows.out[2 * h], weights[g], {value[0], value[1]});
            mma_16x8x16(rows.out[2 * h + 1], weights[g], {value[2], value[3]});
        }
}

// What a thread copies of every stage: the same piece of the same rows. TURNED as values lie.
template <int ROW, int GROUPS, bool TURNED> struct Feed {
    static constexpr int PIECES = ROW / 16, ROWS = 32 * WARPS * GROUPS / PIECES, STAGE = KEYS * GROUPS;
    const unsigned char* from;
    int apart, row, place;  // bytes from a row to the next; first row; where it goes

    DIS2_DEVICE Feed(const unsigned char* first, int row_bytes) : apart(row_bytes), row(threadIdx.x / PIECES) {
        int piece = threadIdx.x % PIECES;
        from = first + static_cast<size_t>(row) * apart + 16 * piece;
        place = ROW * row + 16 * (TURNED ? piece ^ (row / 2 % 4) : piece);
    }

    DIS2_DEVICE void bring(unsigned char* to, int count) {  // zeros beyond `count` rows
        for (int i = 0; i < STAGE / ROWS; ++i)
            copy_async(to + place + ROW * ROWS * i, from + static_cast<size_t>(ROWS * i) * apart, row + ROWS * i < count);
        from += static_cast<size_t>(STAGE) * apart;
    }
};

constexpr int SHARES = 20;  // floats that a lane of the second group tells

DIS2_DEVICE void tell(const Rows& rows, float* to) {
    for (int j = 0; j < 4; ++j) for (int i = 0; i < 4; ++i) to[128 * (4 * j + i)] = rows.out[j][i];
    for (int r = 0; r < 2; ++r) {
        to[128 * (16 + r)] = rows.sum[r];
        to[128 * (18 + r)] = rows.offset[r];
    }
}

DIS2_DEVICE void join(Rows& rows, const float* from) {
    for (int r = 0; r < 2; ++r) {
        float own = rows.offset[r], other = from[128 * (18 + r)], both = fminf(own, other);
        float share = exp2_of(both - other);
        rows.scale(r, exp2_of(both - own));
        rows.sum[r] += share * from[128 * (16 + r)];
        for (int j = 0; j < 4; ++j)
            for (int i = 2 * r; i < 2 * r + 2; ++i) rows.out[j][i] += share * from[128 * (4 * j + i)];
    }
}

DIS2_DEVICE void write(Rows& rows, half* out, int query, int queries, int width) {
    for (int r = 0; r < 2; ++r, query += 8) {
        if (query >= queries) continue;
        rows.scale(r, 1.0f / rows.sum[r]);
        half* row = out + static_cast<size_t>(query) * width + lane_of() % 4 * 2;
        for (int j = 0; j < 4; ++j)
            *reinterpret_cast<uint32_t*>(row + 8 * j) = pack(rows.out[j][2 * r], rows.out[j][2 * r + 1]);
    }
}

// Where a block's head begins; rows of q, k and v lie q_row, k_row and v_row bytes apart.
struct Place {
    const unsigned char *q, *k, *v;
    half* out;
    const float* scales;
    size_t batch, head;
    int q_row, k_row, v_row, queries, keys, heads, first;
};

template <typename Scores, int GROUPS> DIS2_DEVICE void attend(const Place& at) {
    constexpr int STAGE = KEYS * GROUPS, SIZE = STAGE * (Scores::ROW + 2 * HEAD);
    static_assert(SHARES * 4 * 128 <= SIZE || GROUPS == 1, "what the second group tells fits into the stage that is free");
    DIS2_SHARED(unsigned char, shared);  // [2 stages][STAGE keys, STAGE values]
    int group = threadIdx.x / (32 * WARPS), warp = threadIdx.x / 32 % WARPS, lane = lane_of();
    int query = at.first + 16 * warp + lane / 4, stage = 0;  // where it begins in `shared`
    Feed<Scores::ROW, GROUPS, false> keys(at.k, at.k_row);
    Feed<2 * HEAD, GROUPS, true> values(at.v, at.v_row);
    auto bring = [&](unsigned char* to, int count) {
        keys.bring(to, count), values.bring(to + STAGE * Scores::ROW, count);
        copy_commit();
    };
    bring(shared, at.keys);
    uint4 own[2];
    for (int r = 0; r < 2; ++r)
        own[r] = query + 8 * r < at.queries
                     ? load_once(reinterpret_cast<const uint4*>(at.q + static_cast<size_t>(query + 8 * r) * at.q_row) + lane % 4)
                     : make_uint4(0, 0, 0, 0);
    Rows rows;
    Scores scores;
    rows.begin(), scores.begin(own, at.scales, group);
    bool busy = at.first + 16 * warp < at.queries;
    for (int count = at.keys; count > 0; count -= STAGE, stage = SIZE - stage) {
        copy_wait<0>();
        block_barrier();
        if (count > STAGE) bring(shared + SIZE - stage, count - STAGE);
        int left = count - group * KEYS;
        if (!busy || left <= 0) continue;
        const unsigned char* k = shared + stage + group * KEYS * Scores::ROW;
        const unsigned char* v = shared + stage + STAGE * Scores::ROW + group * KEYS * 2 * HEAD;
        scores.meet(GROUPS);
        if (left >= KEYS) hear<KEYS / 8, false>(rows, scores, k, v, KEYS);
        else for (; left > 0; left -= 16, k += 16 * Scores::ROW, v += 32 * HEAD) hear<2, true>(rows, scores, k, v, left);
    }
    if constexpr (GROUPS == 2) {
        float* told = reinterpret_cast<float*>(shared + stage) + threadIdx.x % 128;  // nobody reads that stage any more
        if (group == 1) tell(rows, told);
        block_barrier();
        if (group == 1) return;
        join(rows, told);
    }
    if (busy) write(rows, at.out, query, at.queries, HEAD * at.heads);
}

// The same for all kernels; k and its row are the caller's to say. Blocks: x tiles of queries, y heads, z batch.
DIS2_DEVICE Place place_of(const half* q, const half* v, half* out, int queries, int keys, int heads, int q_row, int v_row) {
    Place at{};
    at.batch = blockIdx.z, at.head = blockIdx.y, at.first = blockIdx.x * QUERIES;
    at.q = reinterpret_cast<const unsigned char*>(q + at.batch * queries * q_row + at.head * HEAD);
    at.v = reinterpret_cast<const unsigned char*>(v + at.batch * keys * v_row + at.head * HEAD);
    at.out = out + (at.batch * queries * heads + at.head) * HEAD;
    at.q_row = 2 * q_row, at.v_row = 2 * v_row;
    at.queries = queries, at.keys = keys, at.heads = heads;
    return at;
}

#define FUSION_ATTENTION(name, GROUPS, threads)                                                                           \
    DIS2_KERNEL(name, threads)(const half* q, const half* k, const half* v, int queries, int keys, int heads, int q_row,  \
                               int k_row, int v_row, half* out) {                                                         \
        Place at = place_of(q, v, out, queries, keys, heads, q_row, v_row);                                               \
        k += at.batch * keys * k_row + at.head * HEAD;                                                                    \
        at.k = reinterpret_cast<const unsigned char*>(k), at.k_row = 2 * k_row;                                           \
        attend<Halves, GROUPS>(at);                                                                                       \
    }

FUSION_ATTENTION(fusion_attention, 1, 128)
FUSION_ATTENTION(fusion_attention_split, 2, 256)

#define FUSION_ATTENTION_QK8(name, GROUPS, threads)                                                                      \
    DIS2_KERNEL(name, threads)(const half* q, const uint8_t* k, const float* scales, const half* v, int queries,          \
                               int keys, int heads, int q_row, int v_row, half* out) {                                    \
        Place at = place_of(q, v, out, queries, keys, heads, q_row, v_row);                                               \
        size_t number = at.batch * heads + at.head;                                                                       \
        at.k = k + number * keys * HEAD, at.k_row = HEAD;                                                                 \
        at.scales = scales + number * ((keys + KEYS - 1) / KEYS);                                                         \
        attend<Bytes, GROUPS>(at);                                                                                        \
    }

FUSION_ATTENTION_QK8(fusion_attention_qk8, 1, 128)
FUSION_ATTENTION_QK8(fusion_attention_qk8_split, 2, 256)

// Keys as bytes (B, heads, M, 32) with a scale a tile (B, heads, tiles): one warp a tile, blocks as above.
DIS2_KERNEL(fusion_attention_qk8_keys, 32)(const half* k, int keys, int heads, int k_row, uint8_t* bytes, float* scales) {
    int first = blockIdx.x * KEYS, lane = lane_of();
    size_t batch = blockIdx.z, head = blockIdx.y, number = batch * heads + head;
    const half* from = k + batch * keys * k_row + head * HEAD + lane % 4 * 8;
    float each[8][8], most = 0.0f;
    for (int i = 0; i < 8; ++i) {
        int key = first + 8 * i + lane / 4;
        uint4 eight = make_uint4(0, 0, 0, 0);
        if (key < keys) eight = load_once(reinterpret_cast<const uint4*>(from + static_cast<size_t>(key) * k_row));
        Bytes::spread(each[i], eight);
        for (int e = 0; e < 8; ++e) most = larger(most, fabsf(each[i][e]));
    }
    for (int mask = 1; mask < 32; mask *= 2) most = larger(most, shuffle_xor(most, mask));
    float step = Bytes::step_of(most);
    if (lane == 0) scales[number * gridDim.x + blockIdx.x] = step;
    for (int i = 0; i < 8; ++i) {
        int key = first + 8 * i + lane / 4;
        uint2* to = reinterpret_cast<uint2*>(bytes + (number * keys + key) * HEAD) + lane % 4;
        if (key < keys) *to = make_uint2(Bytes::bytes_of(each[i], step), Bytes::bytes_of(each[i] + 4, step));
    }
}
