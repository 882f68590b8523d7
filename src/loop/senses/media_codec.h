// The values that travel between MediaPool and its workers, as messages. What comes back from a
// worker is checked: it may have been taken over by what it read.
#pragma once

#include "ground/media/media_message.h"
#include "ground/media/sound_decode.h"
#include "loop/senses/ear.h"

namespace lathe::loop {

Json speak_request(const std::string& text, const VoiceSetting& setting);
VoiceSetting voice_setting_from(const Json& head);

Json to_json(const EarScript& script);
EarScript ear_script_from(const Json& head);

Json to_json(const Hearing& hearing);
Result<Hearing> hearing_from(const Json& head);

}  // namespace lathe::loop
