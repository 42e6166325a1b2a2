/* Runs an exported model.onnx through ONNX Runtime's C API, on the CPU, without Python and without MXNet.
 *
 *   predict_onnxruntime EXPORT/model.onnx SIZE IMAGES
 *
 * IMAGES holds float32 values, (N, 3, SIZE, SIZE), normalised with the mean and standard deviation of EXPORT/manifest.json.
 * Prints the logits of each image on a line. docs/export.md shows how to compile it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <onnxruntime_c_api.h>

static const OrtApi *ort;

static void check(OrtStatus *status) {
  if (status) {
    fprintf(stderr, "ONNX Runtime: %s\n", ort->GetErrorMessage(status));
    exit(1);
  }
}

static float *read_images(const char *path, size_t image_size, int64_t *count) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    perror(path);
    exit(2);
  }
  fseek(file, 0, SEEK_END);
  size_t values = (size_t)ftell(file) / sizeof(float);
  rewind(file);
  float *images = malloc(values * sizeof(float) + 1);
  if (!images || !image_size || !values || values % image_size || fread(images, sizeof(float), values, file) != values) {
    fprintf(stderr, "%s: no images of %zu float32 each\n", path, image_size);
    exit(2);
  }
  fclose(file);
  *count = (int64_t)(values / image_size);
  return images;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s MODEL.onnx SIZE IMAGES\n", argv[0]);
    return 2;
  }
  int64_t side = atoi(argv[2]), shape[] = {0, 3, side, side};
  size_t image_size = (size_t)(3 * side * side);
  float *images = read_images(argv[3], image_size, &shape[0]);

  ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  OrtEnv *environment;
  OrtSessionOptions *options;
  OrtSession *session;
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "predict", &environment));
  check(ort->CreateSessionOptions(&options));
  check(ort->CreateSession(environment, argv[1], options, &session));

  OrtMemoryInfo *memory;
  OrtValue *input, *output = NULL;
  check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  check(ort->CreateTensorWithDataAsOrtValue(memory, images, (size_t)shape[0] * image_size * sizeof(float), shape, 4,
                                            ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input));
  const char *input_names[] = {"data"}, *output_names[] = {"logits"};
  const OrtValue *inputs[] = {input};
  check(ort->Run(session, NULL, input_names, inputs, 1, output_names, 1, &output));

  OrtTensorTypeAndShapeInfo *about;
  size_t values;
  float *logits;
  check(ort->GetTensorTypeAndShape(output, &about));
  check(ort->GetTensorShapeElementCount(about, &values));
  check(ort->GetTensorMutableData(output, (void **)&logits));
  size_t classes = values / (size_t)shape[0];
  for (size_t i = 0; i < values; i++) printf("%.9g%c", logits[i], (i + 1) % classes ? ' ' : '\n');

  ort->ReleaseTensorTypeAndShapeInfo(about);
  ort->ReleaseValue(output);
  ort->ReleaseValue(input);
  ort->ReleaseMemoryInfo(memory);
  ort->ReleaseSession(session);
  ort->ReleaseSessionOptions(options);
  ort->ReleaseEnv(environment);
  free(images);
  return 0;
}
