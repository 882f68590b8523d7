// How this machine is found to be.
import { fail, get } from "../api";
import { doctor, ready } from "../store";
import { Doctor } from "../types";

export async function load_doctor(): Promise<void> {
  try {
    doctor.value = ready(await get("/v1/doctor", Doctor));
  } catch (problem) {
    fail(doctor, problem);
  }
}
