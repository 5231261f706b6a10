"""What made-up studies are put together from: names of several scripts, scanners and protocols of real headers."""

from __future__ import annotations

from dataclasses import dataclass

FAMILIES = (
    "Müller", "Schmidt", "Weiß", "Österreicher", "Nguyễn", "García", "Núñez", "O'Brien", "MacDonald", "van der Berg",
    "Smith", "Johnson", "Johansson", "Åkesson", "Łukasiewicz", "Dvořák", "Yılmaz", "Şahin", "Kovács", "Popescu",  # noqa: RUF001 - so it is written
    "Rossi", "D'Angelo", "Lefèvre", "Silva", "Gonçalves", "Иванов", "Смирнова", "Кузнецов", "Παπαδόπουλος", "Γεωργίου",
    "כהן", "لطفي", "Hansen", "Sørensen", "Virtanen", "Mäkinen", "Fischer", "Weber", "Wagner", "Becker", "Hoffmann",
    "Brown", "Williams", "Jones", "Davis", "Martin", "Bernard", "Dubois", "Moreau", "Laurent", "Peeters", "Janssen",
    "Novák", "Horváth", "Nowak", "Kowalska", "Ferrari", "Esposito", "Romano", "Colombo",
)  # fmt: skip
GIVEN = (
    "Hans", "Anna Maria", "José", "Zoë", "Björn", "Siân", "Jürgen", "François", "Inés", "Søren", "Катя", "Дмитрий",
    "Ελένη", "דוד", "ليلى", "Jean-Pierre", "Mary", "John", "Peter", "Eva", "Lena", "Paul", "Marie", "Max", "Emma",
    "Leon", "Mia", "Noah", "Olivia", "Luca", "Sofia", "Jan", "Petra", "Tom", "Nina", "Karl", "Rosa", "Otto", "Ida",
)  # fmt: skip
THREE_GROUPS = (
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "Suzuki^Hanako=鈴木^花子=すずき^はなこ",
    "Hong^Gildong=洪^吉洞=홍^길동",
    "Wang^XiaoDong=王^小东",
    "Zhang^Wei=张^伟",
)  # PS3.5 H.3, I.2, K.2
RARE_NAME = "Quetzalcóatl^Xóchitl"  # of one study in a hundred thousand, at a known place (synthetic.RARE_STUDY)


@dataclass(frozen=True, slots=True)
class Scanner:
    """What stands in each header of a scanner."""

    manufacturer: str
    model: str
    station: str
    software: str
    tesla: str
    uid_root: str


SCANNERS = (
    Scanner("SIEMENS", "Prisma_fit", "AWP67042", "syngo MR E11", "3", "1.3.12.2.1107.5.2.43.67042"),
    Scanner("Siemens Healthineers", "MAGNETOM Sola", "AWP176478", "syngo MR XA31", "1.5",
            "1.3.12.2.1107.5.2.50.176478"),
    Scanner("GE MEDICAL SYSTEMS", "DISCOVERY MR750", "GEMR3T", "27\\LX\\MR Software release:DV26.0_R05_2008.a", "3",
            "1.2.840.113619.2.374.2807.6666629"),
    Scanner("Philips", "Ingenia Elition X", "MR-PHIL-2", "5.7.1\\5.7.1.1", "3", "1.3.46.670589.11.45053.5.0.5664"),
    Scanner("Philips Medical Systems", "Achieva", "PHILIPS-M7LHBHO", "5.1.7\\5.1.7.2", "3",
            "1.3.46.670589.11.17240.5.0.7936"),
    Scanner("CANON_MEC", "Galan", "MRT3020", "V6.0SP2001*F", "3", "1.2.392.200036.9116.2.6.1.37"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Protocol:
    """A kind of series."""

    description: str
    sequence: str
    scanning: str
    acquisition: str
    echo_time: str
    repetition_time: str
    matrix: int
    thickness: str
    spacing: str
    image_type: str


PROTOCOLS = (
    Protocol("localizer", "*fl2d1", "GR", "2D", "3.69", "7.5", 256, "7", "0.9765625\\0.9765625",
             "ORIGINAL\\PRIMARY\\M\\NORM\\DIS2D"),
    Protocol("t1_mprage_sag_p2_iso", "*tfl3d1_16ns", "GR\\IR", "3D", "2.26", "2300", 256, "1", "1\\1",
             "ORIGINAL\\PRIMARY\\M\\NORM\\DIS2D"),
    Protocol("t2_tse_tra_448", "*tse2d1_15", "SE", "2D", "101", "6000", 448, "4", "0.49107142857143\\0.49107142857143",
             "ORIGINAL\\PRIMARY\\M\\NORM\\DIS2D"),
    Protocol("FLAIR tra", "*tir2d1_16fs", "SE\\IR", "2D", "81", "9000", 320, "4", "0.71875\\0.71875",
             "ORIGINAL\\PRIMARY\\M\\ND"),
    Protocol("ep2d_diff_3scan_trace_p2_TRACEW", "*ep_b1000t", "EP", "2D", "68", "5500", 192, "4", "1.1979166269302\\"
             "1.1979166269302", "DERIVED\\PRIMARY\\DIFFUSION\\TRACEW\\NORM\\DIS2D"),
    Protocol("WIP fcMRI", "FEEPI", "GR", "2D", "30", "1259.232421875", 96, "2.5", "2.26041674613952\\2.26041674613952",
             "ORIGINAL\\PRIMARY\\M_FFE\\M\\FFE"),
    Protocol("Ax SWAN", "SWAN", "GR", "3D", "23.768", "40.9", 512, "2", "0.4688\\0.4688",
             "DERIVED\\SECONDARY\\MINIP"),
)  # fmt: skip
DESCRIPTIONS = ("MR Schädel nativ", "MRT Kopf mit KM", "Brain^Tumour", "Research^MCBI_TESTING", "IRM cérébrale",
                "頭部MRI", "MR Knie links", "SPINE LSPINE WO")  # fmt: skip
INSTITUTIONS = ("Klinikum München", "Hôpital Saint-Éloi", "University Hospital", "Neuroradiologie Großhadern")
PHYSICIANS = ("Weber^Ursula^^Dr.", "Doe^Jane^^^MD", "Lindström^Åsa", "")
