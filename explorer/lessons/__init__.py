"""Lessons: files of steps that a lecturer writes; each has something to predict, a reveal, and claims to check."""

from explorer.lessons.claims import MEASURES as MEASURES
from explorer.lessons.claims import Checked as Checked
from explorer.lessons.claims import check as check
from explorer.lessons.lesson import CHANNELS as CHANNELS
from explorer.lessons.lesson import COURSE_MINUTES as COURSE_MINUTES
from explorer.lessons.lesson import MOST_MODELS as MOST_MODELS
from explorer.lessons.lesson import PANELS as PANELS
from explorer.lessons.lesson import SIDES as SIDES
from explorer.lessons.lesson import Claim as Claim
from explorer.lessons.lesson import CostChart as CostChart
from explorer.lessons.lesson import FoundBoxes as FoundBoxes
from explorer.lessons.lesson import Lesson as Lesson
from explorer.lessons.lesson import LessonStep as LessonStep
from explorer.lessons.lesson import as_json as as_json
from explorer.lessons.lesson import course as course
from explorer.lessons.numbers import TableNumber as TableNumber
from explorer.lessons.reading import SHIPPED as SHIPPED
from explorer.lessons.reading import read as read
from explorer.lessons.reading import shipped as shipped
