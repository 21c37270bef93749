// Scores of fusion_attention, from halves or from bytes, and what a lane holds of its queries while keys come by.
#pragma once
#include "device.cuh"

constexpr int HEAD = 32;
constexpr float SLOPE = 0.255034869f;   // log2(e) / sqrt(HEAD)
constexpr float TOP = 7.0f;             // log2 of the largest weight, when an offset is set
constexpr float MOST = 32768.0f;        // sum of a tile's weights from which a new offset is due; half ends at 65504
constexpr uint32_t ONES = 0x3c003c00u;  // two halves
constexpr float WIDEST = 67108864.0f;   // 2^26: half ends at 2^16.5; an exponent beyond has lost its fraction
constexpr float FAR = 1.2676506e30f;    // 2^100: beyond any score, and finite
constexpr float BEHIND = -1024 * FAR;   // stands for a score where there is no key
constexpr float MAGIC = 12582912.0f;    // 1.5 * 2^23: as bits, n more are n more as a number
constexpr int MAGIC_BITS = 0x4b400000;

DIS2_DEVICE int lane_of() { return threadIdx.x % 32; }
DIS2_DEVICE float larger(float a, float b) { return a > b || a != a ? a : b; }  // NaN is the largest
DIS2_DEVICE float highest_of_row(float one) {  // over the four lanes of a row
    one = fmaxf(one, shuffle_xor(one, 1));
    return fmaxf(one, shuffle_xor(one, 2));
}

// What a lane holds of its two queries, lane / 4 and 8 more of its warp's 16: a share of each.
struct Rows {
    float out[4][4];  // [8 numbers of the head][the two columns of the one row, of the other], as mma leaves it
    float sum[2];     // of weights, as they were rounded
    float offset[2];  // a score's weight is 2^(its exponent of two + offset); FAR until a score was seen that can set it

    DIS2_DEVICE void begin() {
        for (int j = 0; j < 4; ++j) for (int i = 0; i < 4; ++i) out[j][i] = 0.0f;
        for (int r = 0; r < 2; ++r) sum[r] = 0.0f, offset[r] = FAR;
    }

    DIS2_DEVICE void scale(int r, float factor) {
        sum[r] *= factor;
        for (int j = 0; j < 4; ++j) out[j][2 * r] *= factor, out[j][2 * r + 1] *= factor;
    }

    // `exponent` is that of the largest score seen; as it only rises, offsets only fall.
    DIS2_DEVICE void lower(int r, float exponent) {
        float old = offset[r], wanted = TOP - exponent;
        if (!(fabsf(exponent) < WIDEST)) sum[r] = NAN;  // a wrong number is worse
        offset[r] = fminf(old, wanted);
        scale(r, exp2_of(offset[r] - old));
    }

    DIS2_DEVICE bool fresh() const { return offset[0] == FAR || offset[1] == FAR; }
};

// Scores from halves: `found` is q k'.
struct Halves {
    static constexpr int ROW = 2 * HEAD;  // bytes of a key
    uint32_t query[2][4];

    DIS2_DEVICE void begin(const uint4 (&own)[2], const float*, int) {
        query[0][0] = own[0].x, query[0][1] = own[1].x, query[0][2] = own[0].y, query[0][3] = own[1].y;
        query[1][0] = own[0].z, query[1][1] = own[1].z, query[1][2] = own[0].w, query[1][3] = own[1].w;
    }

    DIS2_DEVICE void meet(int) {}
    DIS2_DEVICE float slope(int) const { return SLOPE; }
    DIS2_DEVICE float shifted(int, float offset) const { return offset; }
    DIS2_DEVICE float exponent(int, float found) const { return found * SLOPE; }

    template <int N> DIS2_DEVICE void take(float (&found)[N][4], const unsigned char* keys) const {
        for (int j = 0; j < N; ++j) {
            uint4 key = *reinterpret_cast<const uint4*>(keys + 8 * ROW * j + 16 * lane_of());
            uint32_t low[2] = {key.x, key.y}, high[2] = {key.z, key.w};
            for (int i = 0; i < 4; ++i) found[j][i] = 0.0f;
            mma_16x8x16(found[j], query[0], low);
            mma_16x8x16(found[j], query[1], high);
        }
    }
};

// Scores from bytes: `found` is MAGIC plus an integer, a float that no conversion made.
struct Bytes {
    static constexpr int ROW = HEAD;
    uint32_t query[4];
    const float* steps;            // of the tiles that are to come
    float scale[2], steepness[2];  // of a query; of an integer with this tile's keys, as exponent of two

    DIS2_DEVICE void begin(const uint4 (&own)[2], const float* scales, int first) {
        steps = scales + first;
        for (int r = 0; r < 2; ++r) {
            float most = 0.0f, each[8];
            spread(each, own[r]);
            for (int i = 0; i < 8; ++i) most = larger(most, fabsf(each[i]));
            most = larger(most, shuffle_xor(most, 1));
            scale[r] = step_of(larger(most, shuffle_xor(most, 2)));
            query[r] = bytes_of(each, scale[r]), query[2 + r] = bytes_of(each + 4, scale[r]);
        }
    }

    DIS2_DEVICE void meet(int next) {
        for (int r = 0; r < 2; ++r) steepness[r] = scale[r] * *steps * SLOPE;
        steps += next;
    }

    DIS2_DEVICE float slope(int r) const { return steepness[r]; }
    DIS2_DEVICE float shifted(int r, float offset) const { return fmaf(-MAGIC, steepness[r], offset); }
    DIS2_DEVICE float exponent(int r, float found) const { return (found - MAGIC) * steepness[r]; }

    template <int N> DIS2_DEVICE void take(float (&found)[N][4], const unsigned char* keys) const {
        for (int j = 0; j < N; ++j) {
            uint2 key = *reinterpret_cast<const uint2*>(keys + 8 * ROW * j + 8 * lane_of());
            uint32_t both[2] = {key.x, key.y};
            int sums[4] = {MAGIC_BITS, MAGIC_BITS, MAGIC_BITS, MAGIC_BITS};
            mma_16x8x32(sums, query, both);
            for (int i = 0; i < 4; ++i) found[j][i] = __uint_as_float(static_cast<uint32_t>(sums[i]));
        }
    }

    DIS2_DEVICE static void spread(float (&to)[8], const uint4& eight) {
        unpack(eight.x, to[0], to[1]), unpack(eight.y, to[2], to[3]);
        unpack(eight.z, to[4], to[5]), unpack(eight.w, to[6], to[7]);
    }

    DIS2_DEVICE static float step_of(float most) { return larger(most, 6e-8f) / 127.0f; }  // never 0; NaN stays

    DIS2_DEVICE static uint32_t bytes_of(const float* four, float step) {
        float inverse = 1.0f / step;
        uint32_t bytes = 0;
        for (int i = 0; i < 4; ++i) {
            int whole = __float2int_rn(fminf(fmaxf(four[i] * inverse, -127.0f), 127.0f));
            bytes |= (static_cast<uint32_t>(whole) & 255u) << (8 * i);
        }
        return bytes;
    }
};
