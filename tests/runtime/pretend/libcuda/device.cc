// The one device, and contexts: a primary one that is counted, created ones, and each thread's stack of them.
#include "pretend.hh"

#include <algorithm>
#include <cstring>
#include <set>

struct CUctx_st {
    bool primary;
};

namespace pretend {
namespace {

bool initialised_ = false;
CUctx_st primary{true};
int retained = 0;
std::set<CUcontext> created;
thread_local std::vector<CUcontext> current;

bool alive(CUcontext context) { return context == &primary ? retained > 0 : created.count(context) != 0; }

int shared_opt_in(const Settings& device) {
    const int sm = device.major * 10 + device.minor;
    if (sm == 80 || sm == 87) return 163 * 1024;
    if (sm == 86 || sm == 89 || sm >= 120) return 99 * 1024;
    return sm >= 90 ? 227 * 1024 : 64 * 1024;
}

int attribute(const Settings& device, CUdevice_attribute which) {
    switch (which) {
        case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: return 1024;
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: return 64;
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: return 0x7fffffff;
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: return 65535;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: return 48 * 1024;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: return shared_opt_in(device);
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: return shared_opt_in(device) + 1024;
        case CU_DEVICE_ATTRIBUTE_WARP_SIZE: return 32;
        case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return device.multiprocessors;
        case CU_DEVICE_ATTRIBUTE_INTEGRATED: return device.integrated;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return device.major;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return device.minor;
        case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
        case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: return 1000000;
        case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
        case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: return 1;
        default: return 0;
    }
}

}  // namespace

bool initialised() { return initialised_; }
bool has_context() { return !current.empty() && current.back() && alive(current.back()); }

}  // namespace pretend

using namespace pretend;

#define ENTER_WITHOUT_CONTEXT(call) \
    Lock lock(mutex());             \
    if (CUresult failed = count(#call)) return failed; \
    if (!initialised_) return CUDA_ERROR_NOT_INITIALIZED

extern "C" {

CUresult cuInit(unsigned) {
    PRETEND_ENTER_BARE(cuInit);
    initialised_ = true;
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int* version) {
    PRETEND_ENTER_BARE(cuDriverGetVersion);
    *version = settings().driver;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* number) {
    ENTER_WITHOUT_CONTEXT(cuDeviceGetCount);
    *number = 1;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    ENTER_WITHOUT_CONTEXT(cuDeviceGet);
    *device = 0;
    return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char* name, int length, CUdevice) {
    ENTER_WITHOUT_CONTEXT(cuDeviceGetName);
    std::strncpy(name, settings().name.c_str(), static_cast<std::size_t>(length) - 1);
    name[length - 1] = 0;
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem(std::size_t* bytes, CUdevice) {
    ENTER_WITHOUT_CONTEXT(cuDeviceTotalMem);
    *bytes = settings().memory;
    return CUDA_SUCCESS;
}

CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice) {
    ENTER_WITHOUT_CONTEXT(cuDeviceComputeCapability);
    *major = settings().major;
    *minor = settings().minor;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute which, CUdevice) {
    ENTER_WITHOUT_CONTEXT(cuDeviceGetAttribute);
    *value = attribute(settings(), which);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetPCIBusId(char* id, int length, CUdevice) {
    ENTER_WITHOUT_CONTEXT(cuDeviceGetPCIBusId);
    std::strncpy(id, "0000:00:00.0", static_cast<std::size_t>(length));
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
    ENTER_WITHOUT_CONTEXT(cuDevicePrimaryCtxRetain);
    ++retained;
    *context = &primary;
    return stuck();
}

CUresult cuDevicePrimaryCtxRelease(CUdevice) {
    ENTER_WITHOUT_CONTEXT(cuDevicePrimaryCtxRelease);
    if (retained == 0) return misuse(CUDA_ERROR_INVALID_CONTEXT, "the primary context was released too often");
    --retained;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice, unsigned* flags, int* active) {
    ENTER_WITHOUT_CONTEXT(cuDevicePrimaryCtxGetState);
    *flags = 0;
    *active = retained > 0;
    return CUDA_SUCCESS;
}

CUresult cuCtxCreate(CUcontext* context, CUctxCreateParams*, unsigned, CUdevice) {
    ENTER_WITHOUT_CONTEXT(cuCtxCreate);
    *context = *created.insert(new CUctx_st{false}).first;
    current.push_back(*context);
    return stuck();
}

CUresult cuCtxDestroy(CUcontext context) {
    ENTER_WITHOUT_CONTEXT(cuCtxDestroy);
    if (created.erase(context) == 0) return misuse(CUDA_ERROR_INVALID_CONTEXT, "destroyed what is no created context");
    current.erase(std::remove(current.begin(), current.end(), context), current.end());
    return CUDA_SUCCESS;
}

CUresult cuCtxDetach(CUcontext context) {
    return cuCtxDestroy(context);
}

CUresult cuCtxPushCurrent(CUcontext context) {
    ENTER_WITHOUT_CONTEXT(cuCtxPushCurrent);
    if (!alive(context)) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    current.push_back(context);
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent(CUcontext* context) {
    ENTER_WITHOUT_CONTEXT(cuCtxPopCurrent);
    if (current.empty()) return misuse(CUDA_ERROR_INVALID_CONTEXT, "popped a context where none was current");
    if (context) *context = current.back();
    current.pop_back();
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext* context) {
    ENTER_WITHOUT_CONTEXT(cuCtxGetCurrent);
    *context = current.empty() ? nullptr : current.back();
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
    ENTER_WITHOUT_CONTEXT(cuCtxSetCurrent);
    if (!current.empty()) current.pop_back();
    if (context) current.push_back(context);
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice* device) {
    ENTER_WITHOUT_CONTEXT(cuCtxGetDevice);
    *device = 0;
    return has_context() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuCtxGetApiVersion(CUcontext, unsigned* version) {
    ENTER_WITHOUT_CONTEXT(cuCtxGetApiVersion);
    *version = 3020;
    return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize() {
    {
        PRETEND_ENTER(cuCtxSynchronize);
        if (CUresult refused = refuse_in_capture("cuCtxSynchronize")) return refused;
    }
    return drain_all();
}

// How many contexts this thread has pushed and not popped.
long pretend_contexts() { return static_cast<long>(current.size()); }
}
