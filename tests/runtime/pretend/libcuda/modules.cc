// Modules: the "machine code" of the pretend GPU is an x86 shared object, compiled from the same kernels for the CPU.
//
// For each kernel NAME it exports NAME__launch(grid, block, shared, params, packed, packed_bytes), which runs the whole
// grid, and once `dis2_architecture`, which must be the device's. PTX and real cubins are refused as a GPU would.
#include "streams.hh"

#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

using Launcher = int (*)(const unsigned*, const unsigned*, unsigned, void* const*, const unsigned char*, std::size_t);

struct CUfunc_st {
    std::string name;
    Launcher launch;
    int dynamic_shared = 48 * 1024;
};

struct CUmod_st {
    void* handle;
    std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
};

namespace pretend {
namespace {

std::vector<CUmodule> modules;

// An ELF file in memory ends with its section headers, or with its last section.
std::size_t length(const unsigned char* image) {
    const auto* head = reinterpret_cast<const Elf64_Ehdr*>(image);
    std::size_t end = head->e_shoff + std::size_t{head->e_shnum} * head->e_shentsize;
    const auto* sections = reinterpret_cast<const Elf64_Shdr*>(image + head->e_shoff);
    for (int i = 0; i < head->e_shnum; ++i)
        if (sections[i].sh_type != SHT_NOBITS) end = std::max(end, sections[i].sh_offset + sections[i].sh_size);
    return end;
}

// CUDA 12.0 reads PTX up to 8.0, 12.6 up to 8.5, 13.0 up to 9.0.
int newest_ptx(int driver) {
    const int major = driver / 1000, minor = driver % 1000 / 10;
    return major >= 13 ? 90 + minor : major == 12 ? 80 + std::min(minor, 8) - (minor >= 6) : 70;
}

CUresult refuse_text(const char* text, std::string& log) {
    int major = 0, minor = 0, target = 0;
    const char* version = std::strstr(text, ".version");
    const char* architecture = std::strstr(text, ".target");
    if (!version || std::sscanf(version, ".version %d.%d", &major, &minor) != 2 || !architecture ||
        std::sscanf(architecture, ".target sm_%d", &target) != 1) {
        log = "ptxas fatal: no PTX";
        return CUDA_ERROR_INVALID_PTX;
    }
    const Settings& device = settings();
    log = "ptxas fatal: .version " + std::to_string(major) + "." + std::to_string(minor);
    if (major * 10 + minor > newest_ptx(device.driver)) return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
    log = "ptxas fatal: .target sm_" + std::to_string(target);
    if (target > device.major * 10 + device.minor) return CUDA_ERROR_NO_BINARY_FOR_GPU;
    log = "the pretend GPU has no compiler for PTX";
    return CUDA_ERROR_JIT_COMPILER_NOT_FOUND;
}

void* open_image(const unsigned char* image, std::string& log) {
    const char* folder = std::getenv("TMPDIR");
    std::string path = std::string(folder ? folder : "/tmp") + "/pretend-image-XXXXXX";
    const int file = mkstemp(path.data());
    if (file < 0) return nullptr;
    const std::size_t bytes = length(image);
    const bool whole = write(file, image, bytes) == static_cast<ssize_t>(bytes);
    close(file);
    void* handle = whole ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (!handle) log = whole ? dlerror() : "the image could not be written to a file";
    unlink(path.c_str());
    return handle;
}

CUresult load(CUmodule* module, const void* image, std::string& log) {
    if (!image) return CUDA_ERROR_INVALID_VALUE;
    const auto* bytes = static_cast<const unsigned char*>(image);
    if (std::memcmp(bytes, ELFMAG, SELFMAG) != 0) return refuse_text(static_cast<const char*>(image), log);
    if (reinterpret_cast<const Elf64_Ehdr*>(bytes)->e_machine != EM_X86_64) return CUDA_ERROR_NO_BINARY_FOR_GPU;
    void* handle = open_image(bytes, log);
    if (!handle) return misuse(CUDA_ERROR_INVALID_IMAGE, "image: " + log);
    const auto* architecture = static_cast<const int*>(dlsym(handle, "dis2_architecture"));
    const Settings& device = settings();
    if (!architecture || *architecture != device.major * 10 + device.minor) {
        log = architecture ? "built for sm_" + std::to_string(*architecture) : "no dis2_architecture";
        dlclose(handle);
        return architecture ? CUDA_ERROR_NO_BINARY_FOR_GPU : CUDA_ERROR_INVALID_IMAGE;
    }
    modules.push_back(*module = new CUmod_st{handle, {}});
    return CUDA_SUCCESS;
}

void answer_log(unsigned number, CUjit_option* options, void** values, const std::string& log) {
    char* buffer = nullptr;
    for (unsigned i = 0; i < number; ++i) {
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER) buffer = static_cast<char*>(values[i]);
        if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES) values[i] = nullptr;
        if (options[i] != CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) continue;
        const std::size_t bytes = buffer ? std::min(log.size(), reinterpret_cast<std::size_t>(values[i])) : 0;
        if (bytes) std::memcpy(buffer, log.data(), bytes);
        values[i] = reinterpret_cast<void*>(bytes);
    }
}

CUresult check_shape(CUfunction function, const unsigned grid[3], const unsigned block[3], unsigned shared) {
    const std::uint64_t threads = std::uint64_t{block[0]} * block[1] * block[2];
    const std::uint64_t blocks = std::uint64_t{grid[0]} * grid[1] * grid[2];
    if (!threads || threads > 1024 || block[2] > 64) return misuse(CUDA_ERROR_INVALID_VALUE, "launch: block too large or empty");
    if (!blocks || grid[0] > 0x7fffffff || grid[1] > 65535 || grid[2] > 65535)
        return misuse(CUDA_ERROR_INVALID_VALUE, "launch: grid too large or empty");
    if (shared > static_cast<unsigned>(function->dynamic_shared))
        return misuse(CUDA_ERROR_INVALID_VALUE, "launch: more shared memory than was opted in");
    return CUDA_SUCCESS;
}

CUresult run(const CUfunc_st& function, const unsigned* grid, const unsigned* block, unsigned shared,
             void* const* params, const std::vector<unsigned char>& packed) {
    if (CUresult failed = count("kernel")) return failed;
    const int result = function.launch(grid, block, shared, params, params ? nullptr : packed.data(), packed.size());
    if (result) return static_cast<CUresult>(result);
    Lock lock(mutex());
    return check_guards(function.name);
}

bool packed_of(void** extra, std::vector<unsigned char>& packed) {
    const unsigned char* buffer = nullptr;
    std::size_t bytes = 0;
    for (int i = 0; extra && extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
        if (extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = static_cast<const unsigned char*>(extra[i + 1]);
        if (extra[i] == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *static_cast<std::size_t*>(extra[i + 1]);
    }
    if (buffer) packed.assign(buffer, buffer + bytes);
    return buffer != nullptr;
}

CUresult launch(CUfunction function, const unsigned (&grid)[3], const unsigned (&block)[3], unsigned shared,
                CUstream stream, void** params, void** extra) {
    struct Shape { unsigned grid[3], block[3]; } shape{{grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}};
    std::vector<unsigned char> packed;
    const bool has_packed = packed_of(extra, packed);
    if (has_packed == (params != nullptr)) return misuse(CUDA_ERROR_INVALID_VALUE, "launch: params or packed, not both");
    if (has_packed)
        return enqueue(stream, [=] { return run(*function, shape.grid, shape.block, shared, nullptr, packed); });
    // Nobody knows how long `params` is, so it cannot be kept: the kernel runs now, after all before it.
    if (capturing(stream)) return misuse(CUDA_ERROR_NOT_SUPPORTED, "launch: kernelParams while captured; pack them");
    if (CUresult failed = drain(stream)) return failed;
    const CUresult result = run(*function, shape.grid, shape.block, shared, params, packed);
    return result ? stick(result) : CUDA_SUCCESS;
}

}  // namespace

void forget_modules() { modules.clear(); }

}  // namespace pretend

using namespace pretend;

extern "C" {

CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned number, CUjit_option* options, void** values) {
    std::string log;
    CUresult result = CUDA_SUCCESS;
    {
        Lock lock(mutex());
        result = enter("cuModuleLoadDataEx");
        if (!result) result = refuse_in_capture("cuModuleLoadDataEx");
        if (!result) result = load(module, image, log);
    }
    answer_log(number, options, values, log);
    return result;
}

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
    PRETEND_ENTER(cuModuleLoadData);
    if (CUresult refused = refuse_in_capture("cuModuleLoadData")) return refused;
    std::string log;
    return load(module, image, log);
}

CUresult cuModuleUnload(CUmodule module) {
    PRETEND_ENTER(cuModuleUnload);
    const auto found = std::find(modules.begin(), modules.end(), module);
    if (found == modules.end()) return misuse(CUDA_ERROR_INVALID_HANDLE, "unloaded what is no module");
    modules.erase(found);
    dlclose(module->handle);
    delete module;
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
    PRETEND_ENTER(cuModuleGetFunction);
    auto& slot = module->functions[name];
    if (!slot) {
        const auto launch = reinterpret_cast<Launcher>(dlsym(module->handle, (std::string(name) + "__launch").c_str()));
        if (!launch) return CUDA_ERROR_NOT_FOUND;
        slot = std::make_unique<CUfunc_st>(CUfunc_st{name, launch});
    }
    *function = slot.get();
    return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute which, CUfunction function) {
    PRETEND_ENTER(cuFuncGetAttribute);
    const Settings& device = settings();
    switch (which) {
        case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = 1024; break;
        case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *value = function->dynamic_shared; break;
        case CU_FUNC_ATTRIBUTE_NUM_REGS: *value = 32; break;
        case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *value = device.major * 10 + device.minor; break;
        default: *value = 0;
    }
    return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute which, int value) {
    PRETEND_ENTER(cuFuncSetAttribute);
    if (which != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return CUDA_SUCCESS;
    int most = 0;
    cuDeviceGetAttribute(&most, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 0);
    if (value > most) return misuse(CUDA_ERROR_INVALID_VALUE, "opted into more shared memory than the device has");
    function->dynamic_shared = value;
    return CUDA_SUCCESS;
}

// Of long ago; pycuda still calls it before each launch, which brings its own shape.
CUresult cuFuncSetBlockShape(CUfunction, int x, int y, int z) {
    PRETEND_ENTER(cuFuncSetBlockShape);
    return x > 0 && y > 0 && z > 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                        unsigned bz, unsigned shared, CUstream stream, void** params, void** extra) {
    const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
    {
        PRETEND_ENTER(cuLaunchKernel);
        if (CUresult wrong = check_shape(function, grid, block, shared)) return wrong;
    }
    return launch(function, grid, block, shared, stream, params, extra);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** params, void** extra) {
    return cuLaunchKernel(function, config->gridDimX, config->gridDimY, config->gridDimZ, config->blockDimX,
                          config->blockDimY, config->blockDimZ, config->sharedMemBytes, config->hStream, params, extra);
}

// Modules that are not unloaded yet.
long pretend_modules() {
    Lock lock(mutex());
    return static_cast<long>(modules.size());
}
}
