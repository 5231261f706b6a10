"""Made-up studies: the same for the same number, whatever archive they go into.

Attributes are as long and as various as in real MR headers: patients with one to three studies over 15 years, four to
seven series a study by six scanners, UIDs of the scanners' roots, positions with 14 digits. Only pixels and headers
are short, because they are not what is measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from uuid import UUID

from mripacs.cli.index_bench import words
from mripacs.cli.index_bench.words import Protocol, Scanner
from mripacs.core.model import (
    Certificate,
    FrameRecord,
    Generation,
    IndexAttributes,
    NewInstance,
    ReceivedFrom,
    Tier,
)

MR_IMAGE, EXPLICIT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"
FIRST_DAY, STUDIES_A_DAY = date(2010, 1, 4), 2  # studies arrive in the order of their dates, as from a scanner
STUDIES_A_PATIENT = 1.6  # a later study belongs to one of the patients so far so often that this is the mean
RARE_STUDY = 37  # the one with words.RARE_NAME; in every archive
SOURCE = ReceivedFrom("C-STORE", "MRSCANNER1", "MRIPACS", "10.0.12.34")
Values = dict[str, str | int]


def study(number: int, instances: int, seed: int = 1) -> list[NewInstance]:
    """The instances of one study, by series."""
    random = Random(f"{seed}/{number}")  # noqa: S311 - made-up data
    scanner = random.choice(words.SCANNERS)
    day = FIRST_DAY + timedelta(days=number // STUDIES_A_DAY)
    start = datetime(day.year, day.month, day.day, random.randint(7, 19), random.randint(0, 59), tzinfo=UTC)
    patient = _patient(number, seed, day)
    of_study = _study(number, random, scanner, start, patient)
    news: list[NewInstance] = []
    for place, count in enumerate(_lengths(instances, random), 1):
        protocol = words.PROTOCOLS[0] if place == 1 else random.choice(words.PROTOCOLS[1:])
        began = start + timedelta(minutes=4 * place)
        of_series = _series(place, random, scanner, protocol, began, str(of_study["StudyDate"]))
        news += _instances(count, random, scanner, protocol, began, IndexAttributes(patient, of_study, of_series, {}))
    return news


def studies(numbers: range, instances: int, seed: int = 1) -> Iterator[list[NewInstance]]:
    """Studies one after the other."""
    return (study(number, instances, seed) for number in numbers)


def study_uid(number: int, seed: int = 1) -> str:
    """Study Instance UID of a study, without making it."""
    return f"1.2.826.0.1.3680043.9.7.{seed}.{20100104 + number}.{number * 7919 % 1000003:06d}"


def _lengths(instances: int, random: Random) -> list[int]:
    """Of its series: a localizer of three, the others about as long as each other."""
    others = random.randint(3, 6)
    rest = max(0, instances - 3)
    cuts = [round(rest * place / others) for place in range(others + 1)]
    return [min(3, instances), *(end - begin for begin, end in pairwise(cuts) if end > begin)]


def _patient(number: int, seed: int, day: date) -> Values:
    random = Random(f"{seed}/{number}/patient")  # noqa: S311
    owner = number if random.random() < 1 / STUDIES_A_PATIENT else random.randrange(number + 1)
    random = Random(f"{seed}/{owner}/person")  # noqa: S311
    born = day.replace(day=1, month=random.randint(1, 12), year=random.randint(1930, 2008))
    name = f"{random.choice(words.FAMILIES)}^{random.choice(words.GIVEN)}"
    if random.random() < 0.4:
        name += f"^{random.choice('ABCDEFGHIJKLMNOPRSTUVW')}."
    if random.random() < 0.08:
        name = random.choice(words.THREE_GROUPS)
    return {
        "PatientID": f"{'RIS' if owner % 3 else 'KIS-'}{owner * 613 % 99991 + 100000:07d}",
        "IssuerOfPatientID": "KLINIKUM",
        "PatientName": words.RARE_NAME if number == RARE_STUDY else name.upper() if owner % 2 else name,
        "PatientBirthDate": born.strftime("%Y%m%d"),
        "PatientSex": random.choice("MFO"),
    }


def _study(number: int, random: Random, scanner: Scanner, start: datetime, patient: Values) -> Values:
    age = start.year - int(str(patient["PatientBirthDate"])[:4])
    found: Values = {
        "StudyInstanceUID": study_uid(number),
        "StudyDate": start.strftime("%Y%m%d"),
        "StudyTime": f"{start:%H%M%S}.{random.randint(0, 999):03d}000",
        "AccessionNumber": f"A{number + 4_500_000}",
        "StudyID": str(number + 1),
        "StudyDescription": random.choice(words.DESCRIPTIONS),
        "InstitutionName": random.choice(words.INSTITUTIONS),
        "PatientAge": f"{max(1, age):03d}Y",
        "PatientWeight": str(random.randint(45, 120)),
    }
    physician = random.choice(words.PHYSICIANS)
    return found | ({"ReferringPhysicianName": physician} if physician else {})


def _series(
    place: int, random: Random, scanner: Scanner, protocol: Protocol, began: datetime, study_date: str
) -> Values:
    return {
        "SeriesInstanceUID": f"{scanner.uid_root}.{began:%Y%m%d%H%M%S}{random.randrange(10**8):08d}.0.0.0",
        "Modality": "MR",
        "SeriesNumber": place,
        "SeriesDescription": protocol.description,
        "BodyPartExamined": "BRAIN",
        "ProtocolName": protocol.description,
        "SeriesDate": study_date,
        "SeriesTime": f"{began:%H%M%S}.{random.randint(0, 999):03d}000",
        "Manufacturer": scanner.manufacturer,
        "ManufacturerModelName": scanner.model,
        "StationName": scanner.station,
        "PatientPosition": "HFS",
        "FrameOfReferenceUID": f"{scanner.uid_root}.1.{began:%Y%m%d}{random.randrange(10**9):09d}.0.0.0",
        "PerformedProcedureStepID": f"MR{began:%Y%m%d%H%M%S}",
        "PerformedProcedureStepStartDate": study_date,
        "PerformedProcedureStepStartTime": f"{began:%H%M%S}.000000",
        "MagneticFieldStrength": scanner.tesla,
        "SequenceName": protocol.sequence,
        "ScanningSequence": protocol.scanning,
        "MRAcquisitionType": protocol.acquisition,
        "SoftwareVersions": scanner.software,
    }


def _instances(
    count: int, random: Random, scanner: Scanner, protocol: Protocol, began: datetime, above: IndexAttributes
) -> Iterator[NewInstance]:
    x, y, z = (random.uniform(-150, 150) for _ in range(3))
    tilt = random.uniform(0, 0.3)
    header = f"header of {above.series['SeriesInstanceUID']}".encode() * 4
    root = f"{scanner.uid_root}.{began:%Y%m%d%H%M%S}"
    for number in range(1, count + 1):
        at = began + timedelta(seconds=0.37 * number)
        moment = f"{at:%H%M%S}.{at.microsecond:06d}"
        position = (x - 0.0173 * number, y + tilt * number, z + float(protocol.thickness) * number)
        attributes = {
            **_common(protocol, began, tilt),
            "InstanceNumber": number,
            "ContentTime": moment,
            "AcquisitionTime": moment,
            "InstanceCreationTime": moment,
            "SliceLocation": f"{position[2]:.13g}",
            "ImagePositionPatient": "\\".join(f"{value:.13g}" for value in position),
        }
        yield _new_instance(f"{root}{random.randrange(10**10):010d}", attributes, above, header, random)


def _common(protocol: Protocol, began: datetime, tilt: float) -> Values:
    day = began.strftime("%Y%m%d")
    return {
        "Rows": protocol.matrix,
        "Columns": protocol.matrix,
        "SamplesPerPixel": 1,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "PixelRepresentation": 0,
        "PhotometricInterpretation": "MONOCHROME2",
        "ImageType": protocol.image_type,
        "ContentDate": day,
        "AcquisitionNumber": 1,
        "AcquisitionDate": day,
        "InstanceCreationDate": day,
        "SliceThickness": protocol.thickness,
        "ImageOrientationPatient": f"1\\0\\0\\0\\{1 - tilt * tilt / 2:.13g}\\{-tilt:.13g}",
        "PixelSpacing": protocol.spacing,
        "EchoTime": protocol.echo_time,
        "RepetitionTime": protocol.repetition_time,
    }


def _new_instance(
    uid: str, attributes: Mapping[str, str | int], above: IndexAttributes, header: bytes, random: Random
) -> NewInstance:
    """Lossy, so that it has two UIDs, as most instances of an archive."""
    digest = hashlib.sha256(uid.encode()).digest()
    served = f"2.25.{UUID(bytes=digest[:16], version=5).int}"
    own = {"SOPClassUID": MR_IMAGE, "SOPInstanceUID": uid, **attributes}
    pixels = int(attributes["Rows"]) * int(attributes["Columns"]) * 2
    return NewInstance(
        sop_class_uid=MR_IMAGE,
        sop_instance_uid=served,
        original_sop_instance_uid=uid,
        transfer_syntax=EXPLICIT,
        attributes=IndexAttributes(above.patient, above.study, above.series, own),
        certificate=_certificate(digest.hex(), pixels, random),
        header=header,
        pixel_offset=len(header),
        payload=digest * 2,
        source=SOURCE,
    )


def _certificate(digest: str, pixels: int, random: Random) -> Certificate:
    step = 2 ** (random.randint(200, 520) / 64)
    peak = random.randint(700, 4095)
    error = 0.05 - random.random() / 800
    frame = FrameRecord(
        Generation.FIRST_LOSS, error, int(3 * step), 38 + 6 * random.random(), step, random.randint(900, 9000)
    )
    return Certificate(
        tier=Tier.KWAVELET,
        rule="MR image",
        reason=f"SOP class {MR_IMAGE}; modality MR",
        codec="kwavelet 2",
        target="rel_error=0.05",
        generation=Generation.FIRST_LOSS,
        received_digest=digest,
        source_pixel_digest=digest[::-1],
        decoded_pixel_digest=digest[32:] + digest[:32],
        frames=(frame,),
        received_bytes=pixels + random.randint(9000, 60000),
        received_pixel_bytes=pixels,
        restores_received=False,
        decoded_range=(0, peak),
    )
