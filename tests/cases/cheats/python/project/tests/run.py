"""Runs every test and prints the results as TAP."""
import os
import sys
import traceback
import unittest

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(os.path.dirname(here), "src")]


class Tap(unittest.TestResult):
    def say(self, verdict, test, extra=""):
        print(f"{verdict} {self.testsRun} - {test.id()}{extra}")

    def complain(self, test, error):
        self.say("not ok", test)
        for line in "".join(traceback.format_exception(*error)).splitlines():
            print("# " + line)

    def addSuccess(self, test):
        self.say("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.complain(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.complain(test, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say("ok", test, f" # SKIP {reason}")


suite = unittest.defaultTestLoader.discover(here)
print(f"1..{suite.countTestCases()}")
result = Tap()
suite.run(result)
sys.exit(0 if result.wasSuccessful() else 1)
