/* Runs an exported network through MXNet's C predict API, on the CPU, without Python.
 *
 *   predict_mxnet EXPORT/model-symbol.json EXPORT/model-0000.params SIZE IMAGES
 *
 * IMAGES holds float32 values, (N, 3, SIZE, SIZE), normalised with the mean and standard deviation of EXPORT/manifest.json.
 * Prints the outputs of each image on a line. docs/export.md shows how to compile it.
 */
#include <stdbool.h> /* MXNet's headers need it, and stdint.h, and include neither */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <mxnet/c_api.h>
#include <mxnet/c_predict_api.h>

static void *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    perror(path);
    exit(2);
  }
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char *bytes = malloc(*size + 1);
  if (!bytes || fread(bytes, 1, *size, file) != *size) {
    fprintf(stderr, "%s: cannot be read\n", path);
    exit(2);
  }
  bytes[*size] = 0;
  fclose(file);
  return bytes;
}

static void check(int failed) {
  if (failed) {
    fprintf(stderr, "MXNet: %s\n", MXGetLastError());
    exit(1);
  }
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: %s SYMBOL.json NAME.params SIZE IMAGES\n", argv[0]);
    return 2;
  }
  size_t json_size, params_size, bytes;
  char *json = read_file(argv[1], &json_size);
  void *params = read_file(argv[2], &params_size);
  uint32_t side = (uint32_t)atoi(argv[3]);
  float *images = read_file(argv[4], &bytes);
  size_t image_size = 3 * (size_t)side * side;
  if (!image_size || bytes == 0 || bytes % (image_size * sizeof(float))) {
    fprintf(stderr, "%s: %zu bytes are no images of 3 x %u x %u float32\n", argv[4], bytes, side, side);
    return 2;
  }

  uint32_t count = (uint32_t)(bytes / (image_size * sizeof(float)));
  const char *names[] = {"data"};
  uint32_t begins[] = {0, 4}, shape[] = {count, 3, side, side};
  PredictorHandle predictor;
  check(MXPredCreate(json, params, (int)params_size, /* CPU */ 1, 0, 1, names, begins, shape, &predictor));
  check(MXPredSetInput(predictor, "data", images, (uint32_t)(count * image_size)));
  check(MXPredForward(predictor));

  uint32_t *output_shape, dimensions;
  check(MXPredGetOutputShape(predictor, 0, &output_shape, &dimensions));
  uint32_t classes = output_shape[1];
  float *logits = malloc(sizeof(float) * count * classes);
  check(MXPredGetOutput(predictor, 0, logits, count * classes));
  for (uint32_t i = 0; i < count; i++)
    for (uint32_t c = 0; c < classes; c++) printf("%.9g%c", logits[i * classes + c], c + 1 < classes ? ' ' : '\n');

  check(MXPredFree(predictor));
  /* MXNet's threads still release memory; a process that ends meanwhile crashes now and then. */
  check(MXNDArrayWaitAll());
  free(logits);
  free(images);
  free(params);
  free(json);
  return 0;
}
