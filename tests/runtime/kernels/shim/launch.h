// How a launch gets its arguments, and the grid that it runs: the kernel binary interface of the pretend GPU.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include "machine.h"

namespace dis2 {

inline std::vector<size_t> block_order(size_t count, unsigned seed) {  // no block may count on another's being done
    std::vector<size_t> order(count);
    for (size_t i = 0; i < count; ++i) order[i] = seed % 2 ? count - 1 - i : i;
    for (size_t i = count; seed >= 2 && i > 1; --i) std::swap(order[i - 1], order[drawn() % i]);
    return order;
}

inline int run_grid(const unsigned grid[3], const unsigned size[3], size_t shared, unsigned most, std::function<void()> body) {
    size_t threads = static_cast<size_t>(size[0]) * size[1] * size[2];
    size_t blocks = static_cast<size_t>(grid[0]) * grid[1] * grid[2];
    if (!blocks || !threads || threads % WARP || threads > most) return problem() = "bad grid or block", 1;
    Block now;
    block() = &now;
    now.grid = {grid[0], grid[1], grid[2]}, now.size = {size[0], size[1], size[2]};
    now.seed = schedule(), now.draw = 0x9e3779b97f4a7c15ull + schedule() * 0x2545f4914f6cdd1dull;
    now.body = std::move(body);
    now.warps.resize(threads / WARP);
    now.fibres.resize(threads);
    for (size_t i = 0; i < threads; ++i) {
        Fibre& fibre = now.fibres[i];
        fibre.number = static_cast<int>(i), fibre.stack.reset(new char[STACK]);
        unsigned n = static_cast<unsigned>(i);
        fibre.thread = {n % size[0], n / size[0] % size[1], n / size[0] / size[1]};
    }
    dis2_races_launch();
    for (size_t number : block_order(blocks, now.seed)) {
        unsigned n = static_cast<unsigned>(number);
        now.index = {n % grid[0], n / grid[0] % grid[1], n / grid[0] / grid[1]};
        run_block(now, shared);
        if (!now.problem.empty()) break;
    }
    block() = nullptr;
    problem() = now.problem;
    return now.problem.empty() ? 0 : 719;
}

// How a parameter is told: * for an address, else NumPy's letter and size.
template <typename T> std::string told() {
    if (std::is_pointer<T>::value) return "*";
    const char* letter = !std::is_arithmetic<T>::value ? "?" : std::is_floating_point<T>::value ? "f" : std::is_signed<T>::value ? "i" : "u";
    return letter + std::to_string(sizeof(T));
}
template <> inline std::string told<_Float16>() { return "f2"; }

template <typename... A> const char* told_of(void (*)(A...)) {
    static const std::string all = ((told<A>() + " ") + ... + "");
    return all.c_str();
}

template <typename T> T taken(void* const* params, const unsigned char* packed, size_t bytes, size_t place, size_t& offset) {
    T value{};
    if (params) return memcpy(&value, params[place], sizeof(T)), value;
    offset = (offset + alignof(T) - 1) / alignof(T) * alignof(T);
    if (offset + sizeof(T) <= bytes) memcpy(&value, packed + offset, sizeof(T));
    offset += sizeof(T);
    return value;
}

template <typename... A, size_t... I>
int launch(void (*kernel)(A...), std::index_sequence<I...>, unsigned most, const unsigned grid[3], const unsigned size[3],
           size_t shared, void* const* params, const unsigned char* packed, size_t bytes) {
    size_t offset = 0;
    std::tuple<A...> arguments{taken<A>(params, packed, bytes, I, offset)...};
    if (packed && offset != bytes) return problem() = "the arguments' bytes are not the kernel's", 1;
    return run_grid(grid, size, shared, most, [=] { std::apply(kernel, arguments); });
}

}  // namespace dis2

extern "C" {
__attribute__((visibility("default"))) void dis2_set_schedule(unsigned seed) { dis2::schedule() = seed; }
__attribute__((visibility("default"))) const char* dis2_problem() { return dis2::problem().c_str(); }
__attribute__((visibility("default"))) extern const int dis2_architecture;
const int dis2_architecture = DIS2_ARCHITECTURE;
}

template <typename... A> constexpr std::index_sequence_for<A...> dis2_places(void (*)(A...)) { return {}; }

#define DIS2_LAUNCHER(name, threads)                                                                              \
    extern "C" __attribute__((visibility("default"))) const char* name##__parameters() {                          \
        return dis2::told_of(name);                                                                               \
    }                                                                                                             \
    extern "C" __attribute__((visibility("default"))) int name##__launch(                                         \
        const unsigned grid[3], const unsigned size[3], unsigned shared, void* const* params,                     \
        const unsigned char* packed, size_t bytes) {                                                              \
        return dis2::launch(name, dis2_places(name), threads, grid, size, shared, params, packed, bytes);         \
    }
