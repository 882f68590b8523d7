// PNG, JPEG and WebP to pixels, bounded.
#include "ground/media/picture_decode.h"

#include <leptonica/allheaders.h>

#include <memory>

namespace lathe {
namespace {

struct PixDeleter {
  void operator()(PIX* pix) const { pixDestroy(&pix); }
};
using OwnedPix = std::unique_ptr<PIX, PixDeleter>;

Status check_size(int width, int height) {
  if (width < 1 || height < 1) return invalid("the picture is {}x{} pixels", width, height);
  if (width > kMaxPictureSide || height > kMaxPictureSide ||
      std::int64_t{width} * height > kMaxPicturePixels)
    return invalid("the picture claims {}x{} pixels; at most {} million, {} a side, are read",
                   width, height, kMaxPicturePixels / 1'000'000, kMaxPictureSide);
  return {};
}

struct Header {
  l_int32 format = IFF_UNKNOWN, width = 0, height = 0;
};

// Checked before a pixel is decoded.
Result<Header> header_of(std::string_view file) {
  setMsgSeverity(L_SEVERITY_NONE);
  if (file.empty()) return invalid("the picture file is empty");
  if (file.size() > kMaxPictureFile)
    return invalid("the picture file is longer than {} MiB", kMaxPictureFile >> 20);
  const auto* bytes = reinterpret_cast<const l_uint8*>(file.data());
  // Leptonica looks at up to 12 bytes whatever the length is.
  Header header;
  l_int32& format = header.format;
  if (file.size() < 16 || findFileFormatBuffer(bytes, &format) != 0) format = IFF_UNKNOWN;
  if (format == IFF_GIF)
    return invalid("GIF is not judged: save the picture as PNG, JPEG, WebP or SVG");
  if (format != IFF_PNG && format != IFF_JFIF_JPEG && format != IFF_WEBP)
    return invalid("not a readable picture: PNG, JPEG, WebP and SVG are known");
  l_int32 bits = 0, samples = 0, palette = 0;
  if (pixReadHeaderMem(bytes, file.size(), &format, &header.width, &header.height, &bits, &samples,
                       &palette) != 0)
    return invalid("not a readable picture: its header is damaged");
  LATHE_TRY_STATUS(check_size(header.width, header.height));
  return header;
}

Result<OwnedPix> pixels_of(std::string_view file) {
  OwnedPix pix(pixReadMem(reinterpret_cast<const l_uint8*>(file.data()), file.size()));
  if (!pix) return invalid("not a readable picture: the file is damaged or cut off");
  return pix;
}

}  // namespace

Result<PlainPicture> plain_picture(std::string_view file) {
  LATHE_TRY(const Header header, header_of(file));
  PlainPicture plain;
  plain.pixels = std::int64_t{header.width} * header.height;
  if (header.format != IFF_WEBP) return plain;
  LATHE_TRY(const OwnedPix pix, pixels_of(file));
  l_uint8* png = nullptr;
  std::size_t size = 0;
  if (pixWriteMemPng(&png, &size, pix.get(), 0) != 0)
    return invalid("not a readable picture: its colours are of no known kind");
  plain.png.assign(reinterpret_cast<const char*>(png), size);
  lept_free(png);
  return plain;
}

Result<Picture> decode_picture(std::string_view file) {
  LATHE_TRY_STATUS(header_of(file));
  LATHE_TRY(OwnedPix pix, pixels_of(file));
  if (pixGetSpp(pix.get()) == 4) pix.reset(pixAlphaBlendUniform(pix.get(), 0xffffff00));
  if (pix) pix.reset(pixConvertTo32(pix.get()));
  if (!pix) return invalid("not a readable picture: its colours are of no known kind");
  LATHE_TRY_STATUS(check_size(pixGetWidth(pix.get()), pixGetHeight(pix.get())));

  Picture picture = blank_picture(pixGetWidth(pix.get()), pixGetHeight(pix.get()));
  const l_uint32* data = pixGetData(pix.get());
  const l_int32 words = pixGetWpl(pix.get());
  for (int y = 0; y < picture.height; ++y)
    for (int x = 0; x < picture.width; ++x) {
      l_int32 r = 0, g = 0, b = 0;
      extractRGBValues(data[std::ptrdiff_t{y} * words + x], &r, &g, &b);
      std::uint8_t* to = picture.at(x, y);
      to[0] = static_cast<std::uint8_t>(r);
      to[1] = static_cast<std::uint8_t>(g);
      to[2] = static_cast<std::uint8_t>(b);
    }
  return picture;
}

}  // namespace lathe
