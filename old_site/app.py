# -*- coding: utf-8 -*-
# 배움나무 홈페이지
# 2012.03.05 오픈 (박과장)
# 2013.05.02 장바구니 추가 (김대리)
# 2014.11.17 랭킹 느려서 sleep 넣음.. DB 죽어서 어쩔수 없음
# 2016.08.30 API 추가 - 앱 개발사 요청 (외주)
# 2019.02.11 엑셀 다운로드 추가 (이주임) / 회원 늘어나면 메모리 주의!!
# 2022.06.20 통합로그인 (x-banyan-user)
# !! 이 파일 고치기 전에 반드시 백업할것 app.py.20190211 참고 !!
import os, re, json, time, random, secrets, sqlite3, io, html, glob
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from urllib.parse import quote

from flask import Flask, request, make_response, g, redirect, send_file
from passlib.hash import phpass

app = Flask(__name__, static_folder='static', static_url_path='/static')

PAGE = 15
CATE = {}
STAT = {'today': 0, 'total': 128943, 'day': ''}
RANK = None  # 랭킹 캐시 - 쓰지말것 (2015 데이터 꼬임)
LV = {1: u'일반회원', 5: u'강사', 9: u'관리자', 10: u'운영자'}
CATENAME = {
    'programming': u'프로그래밍', 'data': u'데이터', 'design': u'디자인', 'marketing': u'마케팅',
    'office': u'오피스/업무', 'language': u'외국어', 'music': u'음악', 'cooking': u'요리',
    'photo': u'사진', 'career': u'취업/커리어', 'writing': u'글쓰기', 'art': u'미술',
}
CATECOLOR = {
    'programming': '#3b6ea5', 'data': '#4a8b8b', 'design': '#a5533b', 'marketing': '#b5853a',
    'office': '#5a7d3a', 'language': '#6b4fa0', 'music': '#a03a6e', 'cooking': '#c0622f',
    'photo': '#4f5b66', 'career': '#2f6fc0', 'writing': '#7a6a4f', 'art': '#3a93a0',
}
LVNAME = {'beginner': u'초급', 'intermediate': u'중급', 'advanced': u'고급'}


# ---------------------------------------------------------------- DB
def db():
    if 'db' not in g:
        g.db = sqlite3.connect(os.environ['OLD_SITE_DB'], timeout=10)
        g.db.row_factory = sqlite3.Row
        g.db.execute('pragma synchronous=normal')
    return g.db


@app.teardown_appcontext
def close_db(e):
    d = g.pop('db', None)
    if d is not None:
        d.close()


def q(sql, *a):
    return db().execute(sql, a).fetchall()


def q1(sql, *a):
    return db().execute(sql, a).fetchone()


def ex(sql, *a):
    c = db().execute(sql, a)
    db().commit()
    return c.lastrowid


def h(s):
    return html.escape(str(s if s is not None else ''))


def num(s, d=1):
    # 음수나 이상한값 들어오면 기본값
    try:
        n = int(s)
    except (TypeError, ValueError):
        return d
    if n < 1 or n > 99999999:
        return d
    return n


def now():
    # 서버가 UTC 라서 9시간 더함 (2014.01.13 IDC 이전)
    return (datetime.now(timezone.utc) + timedelta(hours=9)).strftime('%Y-%m-%d %H:%M:%S')


def kst(t):
    return (t + timedelta(hours=9)).strftime('%Y-%m-%d %H:%M:%S')


def won(p):
    p = str(p).replace(',', '').replace(u'원', '')
    if p == '0' or p == '':
        return u'<img src="/static/free.gif" alt="무료" align="absmiddle">'
    return u'<font color="#cc0000"><b>%s</b></font>원' % format(int(p), ',')


# ---------------------------------------------------------------- 로그인 체크
def me():
    if 'me' in g:
        return g.me
    g.me = None
    u = request.headers.get('X-Banyan-User', '')
    if u and os.environ.get('OLD_SITE_TRUST_BANYAN') == '1':
        g.me = banyan_member(u)
    s = request.cookies.get('OLDSESSID', '')
    if g.me is None and s:
        g.me = q1('select m.* from tb_session s, tb_member m where s.member_idx=m.idx and s.id=?', s)
    return g.me


# 통합로그인 회원번호는 긴 문자(UUID)라서 따로 저장. 없는 회원이면 새로 만든다 (포인트는 안줌)
def banyan_member(u):
    if not re.match(r'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', u):
        return None
    m = q1('select * from tb_member where banyan_id=?', u)
    if not m:
        db().execute("insert or ignore into tb_member (userid,passwd,name,level,point,regdate,banyan_id) values (?,'!',?,1,0,?,?)", (u, u'통합회원', now(), u))
        db().commit()
        m = q1('select * from tb_member where banyan_id=?', u)
    return m


def login_ok(m, url):
    sid = secrets.token_hex(16)
    ex('insert into tb_session values (?,?,?)', sid, m['idx'], now())
    r = go(url)
    r.set_cookie('OLDSESSID', sid, httponly=True, samesite='Lax')
    return r


def go(url):
    # 절대주소로 안보내면 옛날 익스플로러에서 안됨
    if not url or not url.startswith('/') or url.startswith('//') or '\\' in url or re.search(r'[\x00-\x1f]', url):
        url = '/'
    host = request.headers.get('X-Forwarded-Host') or request.headers.get('Host') or 'localhost'
    proto = request.headers.get('X-Forwarded-Proto') or 'http'
    if not re.match(r'^[\w.\-:\[\]]+$', host) or proto not in ('http', 'https'):
        host, proto = 'localhost', 'http'
    url = quote(url, safe="/?&=%.-_~:,;+@!$'()*#")
    r = make_response('', 302)
    r.autocorrect_location_header = False
    r.headers['Location'] = proto + '://' + host + url
    return r


def base():
    host = request.headers.get('X-Forwarded-Host') or request.headers.get('Host') or 'localhost'
    proto = request.headers.get('X-Forwarded-Proto') or 'http'
    return h(proto + '://' + host)


def alert(msg, url=None):
    s = u'<html><head><meta charset="utf-8"></head><body><script>alert(%s);%s</script><noscript>%s <a href="/">홈으로</a></noscript></body></html>' % (
        json.dumps(msg).replace('<', '\\u003c'),
        'location.href=%s;' % json.dumps(url).replace('<', '\\u003c') if url else 'history.back();', h(msg))
    return s


# ---------------------------------------------------------------- 레이아웃
def top(title):
    global STAT
    if STAT['day'] != now()[:10]:
        STAT['day'] = now()[:10]
        STAT['today'] = 0
    STAT['today'] = STAT['today'] + 1
    m = me()
    n = len(cart_ids())
    s = u'''<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN" "http://www.w3.org/TR/html4/loose.dtd">
<html>
<head>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8">
<meta http-equiv="X-UA-Compatible" content="IE=EmulateIE8">
<title>::: ''' + h(title) + u''' - 배움나무 :::</title>
<link rel="stylesheet" type="text/css" href="/static/style.css">
<link rel="alternate" type="application/rss+xml" title="배움나무 새 강의" href="/rss.xml">
<script type="text/javascript" src="/static/common.js"></script>
</head>
<body bgcolor="#ffffff" leftmargin="0" topmargin="0">
<center>
<table width="960" cellpadding="0" cellspacing="0" border="0">
<tr><td colspan="2" align="right" class="util" height="28">'''
    if m:
        s += u'<b><font color="#1f5fa8">%s</font></b>님 환영합니다 | <a href="/mypage">마이페이지</a> | <a href="/logout">로그아웃</a>' % h(m['name'])
        if m['level'] >= 9:
            s += u' | <a href="/admin"><font color="red">관리자</font></a>'
    else:
        s += u'<a href="/login">로그인</a> | <a href="/signup">회원가입</a>'
    s += u' | <a href="/cart">장바구니(<b>%d</b>)</a> | <a href="/sitemap.xml">사이트맵</a>' % n
    s += u''' | <a href="#" onclick="return bookmark();">즐겨찾기 추가</a></td></tr>
<tr><td height="70" width="300"><a href="/"><span class="logo"><font color="#1f5fa8">배움</font><font color="#6aa329">나무</font></span><span class="logo2">평생 배우는 즐거움 e-러닝</span></a></td>
<td align="right">
<form name="fsearch" action="/search" method="get" onsubmit="return chkSearch(this);" style="margin:0">
<table cellpadding="0" cellspacing="0" border="0" class="searchbox"><tr>
<td><b><font color="#1f5fa8">강의검색</font></b>&nbsp;</td>
<td><input type="text" name="q" size="30" class="input" value="''' + h(request.args.get('q', '')) + u'''"></td>
<td>&nbsp;<input type="submit" value="검색" class="btn"></td>
</tr></table></form>
<div class="hot">인기검색어 : <a href="/search?q=%ED%8C%8C%EC%9D%B4%EC%8D%AC">파이썬</a>, <a href="/search?q=%EC%97%91%EC%85%80">엑셀</a>, <a href="/search?q=%ED%86%B5%EA%B8%B0%ED%83%80">통기타</a>, <a href="/search?q=SQL">SQL</a></div>
</td></tr>
<tr><td colspan="2">
<table width="960" cellpadding="0" cellspacing="0" border="0" class="gnb"><tr>
<td><a href="/">HOME</a></td><td><a href="/courses">전체강의</a></td><td><a href="/index.php?mod=course&amp;act=list&amp;cate=programming">프로그래밍</a></td>
<td><a href="/index.php?mod=course&amp;act=list&amp;cate=office">오피스</a></td><td><a href="/index.php?mod=course&amp;act=list&amp;cate=language">외국어</a></td>
<td><a href="/ranking">인기순위</a></td><td><a href="/notice">공지사항</a></td><td><a href="/board">수강생게시판</a></td><td><a href="/faq">고객센터</a></td>
</tr></table>
</td></tr></table>
'''
    return s


def left():
    m = me()
    s = u'<table width="180" cellpadding="0" cellspacing="0" border="0"><tr><td>'
    if m:
        s += u'''<table width="180" class="box" cellpadding="6" cellspacing="0"><tr><td class="boxt">회원정보</td></tr>
<tr><td><b>%s</b>님 <font color="#999999">(%s)</font><br>포인트 : <font color="#ff6600"><b>%s</b></font>점<br><br>
<a href="/mypage"><b>▶ 나의 강의실</b></a><br><a href="/cart">▶ 장바구니</a><br><a href="/logout">▶ 로그아웃</a></td></tr></table>''' % (
            h(m['name']), LV.get(m['level'], u'회원'), format(m['point'], ','))
    else:
        s += u'''<table width="180" class="box" cellpadding="4" cellspacing="0"><tr><td class="boxt" colspan="2">회원 로그인</td></tr>
<form name="flogin" action="/login" method="post" onsubmit="return chkLogin(this);">
<input type="hidden" name="url" value="%s">
<tr><td><input type="text" name="userid" class="input" style="width:92px" title="이메일" placeholder="이메일"><br><input type="password" name="passwd" class="input" style="width:92px;margin-top:3px" title="비밀번호" placeholder="비밀번호"></td>
<td><input type="submit" value="로그인" class="btnlogin"></td></tr>
<tr><td colspan="2" align="center"><a href="/signup"><font color="#666666">회원가입</font></a> | <a href="#" onclick="alert('고객센터(1577-0000)로 전화주세요.');return false;"><font color="#666666">비밀번호 찾기</font></a></td></tr></form></table>''' % h(
            request.full_path.rstrip('?') if request.method == 'GET' and request.path not in ('/login', '/logout', '/signup') else '/')
    s += u'<div style="height:8px"></div><table width="180" class="box" cellpadding="0" cellspacing="0"><tr><td class="boxt" style="padding:6px">강의 카테고리</td></tr>'
    for r in q('select cate, count(*) c from tb_course group by cate order by c desc, cate'):
        s += u'''<tr><td class="cate" onmouseover="this.style.backgroundColor='#eaf3fc'" onmouseout="this.style.backgroundColor=''" onclick="location.href='/courses?cate=%s'"><a href="/courses?cate=%s">· %s</a> <font color="#aaaaaa">(%d)</font></td></tr>''' % (
            r['cate'], r['cate'], CATENAME.get(r['cate'], r['cate']), r['c'])
    s += u'''</table>
<div style="height:8px"></div>
<table width="180" class="box" cellpadding="8" cellspacing="0"><tr><td align="center" bgcolor="#f4f9ff"><b><font color="#1f5fa8">고객센터</font></b><br><font size="5" color="#ff6600"><b>1577-0000</b></font><br><font color="#888888">평일 09:30 ~ 18:00<br>점심 12:00 ~ 13:00<br>토/일/공휴일 휴무</font></td></tr></table>
<div style="height:8px"></div>
<table width="180" class="box" cellpadding="8" cellspacing="0"><tr><td><b>무통장 입금계좌</b><br>나무은행 000-0000-000000<br>예금주 : (주)배움나무</td></tr></table>
<div style="height:8px"></div>
<table width="180" class="box" cellpadding="8" cellspacing="0"><tr><td align="center"><font color="#888888">오늘 <b><font color="red">%s</font></b> | 전체 <b>%s</b></font></td></tr></table>
</td></tr></table>''' % (format(STAT['today'], ','), format(STAT['total'] + STAT['today'], ','))
    return s


def bottom():
    # 최근 본 강의
    s = ''
    ids = [x for x in request.cookies.get('OLDRECENT', '').split('.') if x.isdigit()][:3]
    for i in ids:
        r = q1('select slug, subject, cate from tb_course where idx=?', num(i))
        if r:
            s += u'<div class="qthumb" style="background:%s" title="%s"><a href="/courses/%s">%s</a></div>' % (
                CATECOLOR.get(r['cate'], '#999'), h(r['subject']), quote(r['slug']), h(r['subject'][:8]))
    if not s:
        s = u'<div style="padding:10px 0"><font color="#aaaaaa">없음</font></div>'
    return u'''
<div id="quick"><div class="qt">QUICK</div><a href="/mypage">나의강의실</a><a href="/cart">장바구니</a><a href="/faq">자주묻는질문</a><div class="qt2">최근 본 강의</div>''' + s + u'''<a href="#" onclick="window.scrollTo(0,0);return false;"><b>▲ TOP</b></a></div>
<table width="960" cellpadding="0" cellspacing="0" border="0" style="margin-top:20px">
<tr><td class="fmenu" align="center"><a href="/company">회사소개</a> | <a href="/index.php?mod=page&amp;act=use">이용약관</a> | <a href="/index.php?mod=page&amp;act=privacy"><b>개인정보취급방침</b></a> | <a href="/faq">고객센터</a> | <a href="/rss.xml">RSS</a></td></tr>
<tr><td class="foot" align="center">(주)배움나무 | 대표이사 : 홍길동 | 사업자등록번호 : 000-00-00000 | 통신판매업신고 : 제2012-서울가나-00000호<br>
서울특별시 가나구 다라로 12, 3층 | 대표전화 : 1577-0000 | 팩스 : 02-000-0000 | 개인정보관리책임자 : 김관리<br>
<font color="#999999">Copyright &copy; 2012 배움나무 All Rights Reserved. 본 사이트는 Internet Explorer 8.0, 1024x768 해상도에 최적화되어 있습니다.</font></td></tr></table>
</center>
</body>
</html>'''


def page(title, body, withleft=True):
    s = top(title)
    if withleft:
        s += u'<table width="960" cellpadding="0" cellspacing="0" border="0" style="margin-top:10px"><tr><td width="190" valign="top">' + left() + u'</td><td width="770" valign="top">' + body + u'</td></tr></table>'
    else:
        s += u'<table width="960" cellpadding="0" cellspacing="0" border="0" style="margin-top:10px"><tr><td valign="top">' + body + u'</td></tr></table>'
    return s + bottom()


def title_bar(t, path=u''):
    return u'<table width="770" class="tbar" cellpadding="0" cellspacing="0"><tr><td><b>%s</b></td><td align="right"><font color="#888888">HOME &gt; %s</font></td></tr></table>' % (t, path or t)


def notfound():
    # IE 친절한 오류 페이지 때문에 404 주면 안됨. 200 으로 내보낼것 (2012.07 박과장)
    return page(u'페이지를 찾을 수 없습니다', u'''<table width="770" class="box" cellpadding="40" style="margin-top:10px"><tr><td align="center">
<font size="6" color="#1f5fa8"><b>앗!</b></font><br><br><b>요청하신 페이지를 찾을 수 없습니다.</b><br><font color="#888888">주소가 바뀌었거나 삭제된 페이지입니다.</font><br><br>
<input type="button" class="btn" value="이전 페이지" onclick="history.back();"> <input type="button" class="btn" value="홈으로" onclick="location.href='/';"></td></tr></table>''')


@app.errorhandler(404)
def e404(e):
    return notfound(), 200


@app.errorhandler(405)
def e405(e):
    return notfound(), 200


def badge(r):
    s = ''
    if r['regdate'] > '2025-02':
        s += u' <img src="/static/new.gif" alt="NEW" align="absmiddle">'
    if r['cnt'] >= 300:
        s += u' <img src="/static/hot.gif" alt="HOT" align="absmiddle">'
    return s


def card(r, w=180):
    return u'''<table width="%d" cellpadding="0" cellspacing="0" border="0" class="card" onmouseover="this.className='cardon'" onmouseout="this.className='card'"><tr><td align="center">
<a href="/courses/%s"><div class="thumb" style="background-color:%s">%s</div></a></td></tr>
<tr><td class="ct"><a href="/courses/%s" title="%s"><b>%s</b></a>%s</td></tr>
<tr><td class="cs">%s | %s<br>%s <font color="#999999">수강생 %s명</font></td></tr></table>''' % (
        w, quote(r['slug']), CATECOLOR.get(r['cate'], '#999'), CATENAME.get(r['cate'], r['cate']),
        quote(r['slug']), h(r['subject']), h(r['subject'] if len(r['subject']) < 34 else r['subject'][:32] + '..'), badge(r),
        h(r['tname']), LVNAME[r['lv']], won(r['price']), format(r['cnt'], ','))


# ---------------------------------------------------------------- 메인
@app.route('/')
def home():
    s = u'''<table width="770" cellpadding="0" cellspacing="0" border="0" class="visual"><tr><td>
<font size="5" color="#ffffff"><b>오늘 배운 한 가지가<br>내일의 나를 바꿉니다</b></font><br><br><font color="#d8ecff">프로그래밍부터 통기타까지, %s개의 강의가 여러분을 기다립니다.</font><br><br>
<input type="button" class="btnbig" value="무료강의 보러가기 ▶" onclick="location.href='/courses?free=1';"></td>
<td align="right" valign="bottom"><marquee width="230" scrollamount="3"><font color="#ffffff">★ 회원가입시 1,000 포인트 즉시 지급! ★ 무료강의 %s개 오픈! ★</font></marquee></td></tr></table>''' % (
        q1('select count(*) c from tb_course')['c'], q1("select count(*) c from tb_course where price in (0, '0')")['c'])
    s += u'<table width="770" cellpadding="0" cellspacing="0" border="0" style="margin-top:10px"><tr><td width="380" valign="top"><table width="378" class="box" cellpadding="4" cellspacing="0"><tr><td class="boxt">공지사항</td><td class="boxt" align="right"><a href="/notice">more +</a></td></tr>'
    for r in q("select * from tb_board where bbs='notice' order by idx desc limit 5"):
        s += u'<tr><td>· <a href="/notice/%d">%s</a></td><td align="right"><font color="#999999">%s</font></td></tr>' % (r['idx'], h(r['subject'][:24]), r['regdate'][2:10].replace('-', '.'))
    s += u'</table></td><td width="10"></td><td width="380" valign="top"><table width="378" class="box" cellpadding="4" cellspacing="0"><tr><td class="boxt">수강생 게시판</td><td class="boxt" align="right"><a href="/board">more +</a></td></tr>'
    for r in q("select * from tb_board where bbs='free' order by idx desc limit 5"):
        s += u'<tr><td>· <a href="/board/%d">%s</a></td><td align="right"><font color="#999999">%s</font></td></tr>' % (r['idx'], h(r['subject'][:24]), r['regdate'][2:10].replace('-', '.'))
    s += u'</table></td></tr></table>'
    # 추천강의 (담당자가 고른 1~8번)
    s += title_bar(u'<img src="/static/hot.gif" align="absmiddle"> 배움나무 추천강의', u'추천강의')
    s += u'<table width="770" cellpadding="0" cellspacing="0" border="0"><tr>'
    i = 0
    for r in q('select c.*, m.name tname, (select count(*) from tb_enroll e where e.course_idx=c.idx) cnt from tb_course c, tb_member m where c.teacher_idx=m.idx order by c.idx limit 8'):
        if i % 4 == 0 and i > 0:
            s += u'</tr><tr>'
        s += u'<td width="192" valign="top" align="center">' + card(r) + u'</td>'
        i = i + 1
    s += u'</tr></table>'
    s += title_bar(u'<img src="/static/new.gif" align="absmiddle"> 새로 열린 강의', u'신규강의')
    s += u'<table width="770" cellpadding="0" cellspacing="0" border="0"><tr>'
    for r in q('select c.*, m.name tname, (select count(*) from tb_enroll e where e.course_idx=c.idx) cnt from tb_course c, tb_member m where c.teacher_idx=m.idx order by c.regdate desc limit 4'):
        s += u'<td width="192" valign="top" align="center">' + card(r) + u'</td>'
    s += u'</tr></table>'
    return page(u'평생 배우는 즐거움', s)


# 옛날 주소 (PHP 시절 즐겨찾기 때문에 지우면 안됨)
@app.route('/index.php')
def index_php():
    mod = request.args.get('mod', '')
    act = request.args.get('act', '')
    if mod == '':
        return home()
    if mod == 'course' and act in ('', 'list'):
        return course_list()
    if mod == 'course' and act == 'view':
        r = q1('select slug from tb_course where idx=?', num(request.args.get('id'), 0))
        if not r:
            return notfound()
        return course_view(r['slug'])
    if mod == 'board' and act in ('', 'list'):
        return notice_list() if request.args.get('bbs') == 'notice' else board_list()
    if mod == 'board' and act == 'view':
        return board_view(num(request.args.get('id'), 0))
    if mod == 'member' and act == 'login':
        return go('/login')
    if mod == 'member' and act == 'join':
        return go('/signup')
    if mod == 'member' and act == 'mypage':
        return go('/mypage')
    if mod == 'page' and act == 'use':
        return page(u'이용약관', title_bar(u'이용약관') + u'<table width="770" class="box" cellpadding="20"><tr><td>제1조 (목적)<br>이 약관은 (주)배움나무가 제공하는 온라인 강의 서비스의 이용 조건과 절차를 정하는 것을 목적으로 합니다.<br><br>제2조 (회원가입)<br>회원은 이메일 주소와 비밀번호를 정하여 가입을 신청합니다.<br><br>제3조 (수강료의 환불)<br>수강을 시작하지 않은 강의는 결제일로부터 7일 안에 전액 환불합니다.</td></tr></table>')
    if mod == 'page' and act == 'privacy':
        return page(u'개인정보취급방침', title_bar(u'개인정보취급방침') + u'<table width="770" class="box" cellpadding="20"><tr><td>(주)배움나무는 회원의 이름과 이메일 주소를 강의 제공을 위해서만 이용하며, 탈퇴하면 지체 없이 파기합니다.</td></tr></table>')
    return notfound()


# ---------------------------------------------------------------- 강의
@app.route('/courses')
def course_list():
    p = num(request.args.get('page'))
    cate = request.args.get('cate', '')
    sort = request.args.get('sort', '')
    free = request.args.get('free', '')
    w = ' where c.teacher_idx=m.idx '
    a = []
    if cate in CATENAME:
        w += ' and c.cate=? '
        a.append(cate)
    if free == '1':
        w += " and c.price in (0, '0') "
    o = ' order by c.idx '
    if sort == 'new':
        o = ' order by c.regdate desc '
    if sort == 'hit':
        o = ' order by c.hit desc, c.idx '
    total = q1('select count(*) n from tb_course c, tb_member m' + w, *a)['n']
    rows = q('select c.*, m.name tname, (select count(*) from tb_enroll e where e.course_idx=c.idx) cnt from tb_course c, tb_member m' + w + o + ' limit ? offset ?', *(a + [PAGE, (p - 1) * PAGE]))
    name = CATENAME.get(cate, u'전체강의')
    qs = 'cate=%s&amp;free=%s' % (h(cate) if cate in CATENAME else '', '1' if free == '1' else '')
    s = title_bar(name, u'강의목록 &gt; ' + name)
    s += u'<table width="770" cellpadding="4" cellspacing="0"><tr><td>총 <b><font color="red">%d</font></b>개의 강의가 있습니다.</td><td align="right"><a href="/courses?%s">기본순</a> | <a href="/courses?%s&amp;sort=new">최신순</a> | <a href="/courses?%s&amp;sort=hit">조회순</a> | <a href="/courses?free=1"><font color="#ff6600">무료강의만</font></a></td></tr></table>' % (total, qs, qs, qs)
    s += u'<table width="770" class="list" cellpadding="0" cellspacing="0"><tr><th width="50">번호</th><th width="110">분류</th><th>강의명</th><th width="80">강사</th><th width="50">난이도</th><th width="80">수강료</th><th width="60">수강생</th></tr>'
    for r in rows:
        s += u'''<tr onmouseover="this.style.backgroundColor='#f3f8fd'" onmouseout="this.style.backgroundColor=''"><td align="center"><font color="#999999">%d</font></td><td align="center"><div class="sthumb" style="background-color:%s">%s</div></td><td class="subj"><a href="/courses/%s"><b>%s</b></a>%s<br><font color="#888888">%s</font></td><td align="center">%s</td><td align="center">%s</td><td align="center">%s</td><td align="center">%s명</td></tr>''' % (
            r['idx'], CATECOLOR.get(r['cate'], '#999'), CATENAME.get(r['cate'], r['cate']), quote(r['slug']), h(r['subject']), badge(r), h(r['intro']), h(r['tname']), LVNAME[r['lv']], won(r['price']), format(r['cnt'], ','))
    if not rows:
        s += u'<tr><td colspan="7" align="center" height="100">등록된 강의가 없습니다.</td></tr>'
    s += u'</table>' + pager('/courses?' + qs + '&amp;sort=' + (sort if sort in ('new', 'hit') else ''), p, total, PAGE)
    return page(name, s)


def pager(url, p, total, size):
    last = (total + size - 1) // size or 1
    st = (min(p, last) - 1) // 10 * 10 + 1
    s = u'<table width="770" cellpadding="10"><tr><td align="center" class="pager">'
    if st > 1:
        s += u'<a href="%s&amp;page=%d">◀ 이전</a> ' % (url, st - 1)
    for i in range(st, min(st + 10, last + 1)):
        if i == p:
            s += u'<b><font color="red">[%d]</font></b> ' % i
        else:
            s += u'<a href="%s&amp;page=%d">[%d]</a> ' % (url, i, i)
    if st + 10 <= last:
        s += u'<a href="%s&amp;page=%d">다음 ▶</a>' % (url, st + 10)
    return s + u'</td></tr></table>'


@app.route('/courses/<slug>')
def course_view(slug):
    r = q1('select c.*, m.name tname, (select count(*) from tb_enroll e where e.course_idx=c.idx) cnt from tb_course c, tb_member m where c.teacher_idx=m.idx and c.slug=?', slug)
    if not r:
        return notfound()
    ex('update tb_course set hit=hit+1 where idx=?', r['idx'])
    m = me()
    en = None
    if m:
        en = q1('select * from tb_enroll where member_idx=? and course_idx=?', m['idx'], r['idx'])
    s = title_bar(CATENAME.get(r['cate'], r['cate']), u'강의목록 &gt; <a href="/courses?cate=%s">%s</a>' % (r['cate'], CATENAME.get(r['cate'], r['cate'])))
    s += u'''<table width="770" cellpadding="0" cellspacing="0" border="0"><tr><td width="300" valign="top"><div class="bthumb" style="background-color:%s"><font size="5">%s</font><br>%s</div></td><td width="20"></td><td valign="top">
<font size="4"><b>%s</b></font>%s<br><font color="#666666">%s</font><br><br>
<table width="450" class="info" cellpadding="5" cellspacing="0">
<tr><th>강사</th><td><a href="/teacher/%d"><b>%s</b></a></td><th>난이도</th><td>%s</td></tr>
<tr><th>수강료</th><td>%s</td><th>언어</th><td>%s</td></tr>
<tr><th>수강생</th><td><span id="cnt">%s</span>명</td><th>조회수</th><td>%s</td></tr>
<tr><th>등록일</th><td>%s</td><th>수강기간</th><td>무제한</td></tr></table><br>''' % (
        CATECOLOR.get(r['cate'], '#999'), CATENAME.get(r['cate'], r['cate']), LVNAME[r['lv']], h(r['subject']), badge(r), h(r['intro']),
        r['teacher_idx'], h(r['tname']), LVNAME[r['lv']], won(r['price']), u'한국어' if r['lang'] == 'ko' else u'영어',
        format(r['cnt'], ','), format(r['hit'] + 1, ','), r['regdate'][:10])
    if en:
        s += u'<input type="button" class="btnbig" value="강의실 입장 ▶" onclick="openLecture(%d,1);"> <font color="#888888">%s 신청</font>' % (r['idx'], en['regdate'][:10])
    elif str(r['price']) == '0':
        s += u'<form action="/enroll" method="post" style="display:inline"><input type="hidden" name="id" value="%d"><input type="submit" class="btnbig" value="무료 수강신청 ▶"></form>' % r['idx']
    else:
        s += u'<form action="/cart/add" method="post" style="display:inline"><input type="hidden" name="id" value="%d"><input type="submit" class="btnbig" value="장바구니 담기 ▶"></form>' % r['idx']
    s += u' <input type="button" class="btn" value="목록" onclick="location.href=\'/courses\';"> <input type="button" class="btn" value="강의안내문 받기" onclick="location.href=\'/download.php?id=%d\';"></td></tr></table>' % r['idx']
    s += u'<table width="770" class="tab" cellpadding="0" cellspacing="0"><tr><td id="t1" class="on" onclick="tab(1)">강의소개</td><td id="t2" onclick="tab(2)">강의목차</td><td id="t3" onclick="tab(3)">강사소개</td><td class="none">&nbsp;</td></tr></table>'
    s += u'<div id="c1" class="tabc"><b>■ 이런 것을 배웁니다</b><br><br>'
    for x in r['goal'].split('\n'):
        s += u'&nbsp;<font color="#1f5fa8">√</font> ' + h(x) + u'<br>'
    s += u'<br><b>■ 강의 소개</b><br><br>' + h(r['content']).replace('\n', '<br>') + u'</div>'
    s += u'<div id="c2" class="tabc" style="display:none"><table width="730" class="list" cellpadding="0" cellspacing="0">'
    sec = 0
    for l in q('select * from tb_lesson where course_idx=? order by no', r['idx']):
        if l['sec'] != sec:
            sec = l['sec']
            s += u'<tr><td colspan="4" bgcolor="#eef5fc" class="subj"><b>%d장. %s</b></td></tr>' % (sec, h(l['sectitle']))
        s += u'<tr><td width="50" align="center">%d강</td><td class="subj">%s%s</td><td width="70" align="center">%d분 %02d초</td><td width="90" align="center">%s</td></tr>' % (
            l['no'], h(l['title']), u' <font color="#888888">[읽기자료]</font>' if l['kind'] == 'text' else '', l['sec_len'] // 60, l['sec_len'] % 60,
            u'<a href="/lecture.php?c=%d&amp;l=%d" onclick="openLecture(%d,%d);return false;"><font color="#ff6600">맛보기</font></a>' % (r['idx'], l['no'], r['idx'], l['no']) if l['free'] else '-')
    s += u'</table></div><div id="c3" class="tabc" style="display:none"><b>%s</b> 강사<br><br>이 분야에서 오랫동안 가르쳐 온 강사입니다.<br><br><a href="/teacher/%d">▶ 이 강사의 다른 강의 보기</a></div>' % (h(r['tname']), r['teacher_idx'])
    s += u'<script type="text/javascript">ajaxCount(%d);</script>' % r['idx']
    res = make_response(page(r['subject'], s))
    ids = [str(r['idx'])] + [x for x in request.cookies.get('OLDRECENT', '').split('.') if x.isdigit() and x != str(r['idx'])]
    res.set_cookie('OLDRECENT', '.'.join(ids[:3]), max_age=86400 * 7, samesite='Lax')
    return res


@app.route('/lecture.php')
def lecture():
    c = q1('select * from tb_course where idx=?', num(request.args.get('c'), 0))
    l = q1('select * from tb_lesson where course_idx=? and no=?', num(request.args.get('c'), 0), num(request.args.get('l'), 0))
    if not c or not l:
        return notfound()
    m = me()
    ok = l['free'] or (m and q1('select 1 from tb_enroll where member_idx=? and course_idx=?', m['idx'], c['idx']))
    if not ok:
        return alert(u'수강신청 후 이용하실 수 있습니다.')
    n = q1('select max(no) n from tb_lesson where course_idx=?', c['idx'])['n']
    s = u'<html><head><meta charset="utf-8"><title>%s</title><link rel="stylesheet" type="text/css" href="/static/style.css"></head><body bgcolor="#222222" style="margin:0;background:#222222"><center><table width="700" cellpadding="10"><tr><td><font color="#ffffff"><b>%d강. %s</b></font></td><td align="right"><font color="#999999">%s</font></td></tr>' % (h(l['title']), l['no'], h(l['title']), h(c['subject']))
    s += u'<tr><td colspan="2" height="380" bgcolor="#000000" align="center"><font color="#777777" size="6">▶</font><br><br><font color="#777777">동영상을 재생하려면 Flash Player 10 이상이 필요합니다.<br>(%d분 %02d초)</font></td></tr><tr><td>' % (l['sec_len'] // 60, l['sec_len'] % 60)
    if l['no'] > 1:
        s += u'<a href="/lecture.php?c=%d&amp;l=%d"><font color="#ffffff">◀ 이전 강</font></a>' % (c['idx'], l['no'] - 1)
    s += u'</td><td align="right">'
    if l['no'] < n:
        s += u'<a href="/lecture.php?c=%d&amp;l=%d"><font color="#ffffff">다음 강 ▶</font></a> &nbsp; ' % (c['idx'], l['no'] + 1)
    return s + u'<a href="#" onclick="window.close();return false;"><font color="#ffffff">[닫기]</font></a></td></tr></table></center></body></html>'


@app.route('/teacher/<int:idx>')
def teacher(idx):
    t = q1('select * from tb_member where idx=? and level=5', num(idx, 0))
    if not t:
        return notfound()
    s = title_bar(u'강사소개', u'강사소개 &gt; ' + h(t['name']))
    s += u'<table width="770" class="box" cellpadding="12"><tr><td width="90" align="center"><div class="sthumb" style="background-color:#7a9cc0;height:70px;line-height:70px;width:70px">%s</div></td><td><font size="4"><b>%s</b></font> 강사<br><font color="#888888">%s 부터 배움나무와 함께하고 있습니다.</font></td></tr></table><br><table width="770" cellpadding="0" cellspacing="0" border="0"><tr>' % (h(t['name'][:1]), h(t['name']), t['regdate'][:10])
    i = 0
    for r in q('select c.*, m.name tname, (select count(*) from tb_enroll e where e.course_idx=c.idx) cnt from tb_course c, tb_member m where c.teacher_idx=m.idx and m.idx=? order by c.idx', t['idx']):
        if i % 4 == 0 and i > 0:
            s += u'</tr><tr>'
        s += u'<td width="192" valign="top" align="center">' + card(r) + u'</td>'
        i = i + 1
    return page(t['name'], s + u'<td></td></tr></table>')


@app.route('/search')
def search():
    k = request.args.get('q', '').strip()[:50]
    s = title_bar(u'강의검색', u'검색결과')
    rows = []
    if k:
        like = '%' + k.replace('!', '!!').replace('%', '!%').replace('_', '!_') + '%'
        rows = q("select c.*, m.name tname, (select count(*) from tb_enroll e where e.course_idx=c.idx) cnt from tb_course c, tb_member m where c.teacher_idx=m.idx and (c.subject like ? escape '!' or c.intro like ? escape '!' or m.name like ? escape '!') order by c.idx limit 100", like, like, like)
    s += u'<table width="770" class="box" cellpadding="12"><tr><td align="center"><b><font color="#ff6600">\'%s\'</font></b> 검색결과 총 <b>%d</b>건</td></tr></table><br>' % (h(k), len(rows))
    s += u'<table width="770" class="list" cellpadding="0" cellspacing="0">'
    for r in rows:
        s += u'<tr><td width="110" align="center"><div class="sthumb" style="background-color:%s">%s</div></td><td class="subj"><a href="/courses/%s"><b>%s</b></a>%s<br><font color="#888888">%s</font></td><td width="80" align="center">%s</td><td width="90" align="center">%s</td></tr>' % (
            CATECOLOR.get(r['cate'], '#999'), CATENAME.get(r['cate'], r['cate']), quote(r['slug']), h(r['subject']), badge(r), h(r['intro']), h(r['tname']), won(r['price']))
    if not rows:
        s += u'<tr><td align="center" height="100">검색결과가 없습니다.</td></tr>'
    return page(u'강의검색', s + u'</table>')


# 느림!! 회원이 많아지면서 점점 느려짐. 2014.11 부터는 DB 보호하려고 일부러 쉬었다 감
@app.route('/ranking')
def ranking():
    time.sleep(1.2)
    al = []
    for c in q('select idx from tb_course'):
        n = q1('select count(*) n from tb_enroll where course_idx=?', c['idx'])['n']
        al.append((n, c['idx']))
    al.sort(key=lambda x: (-x[0], x[1]))
    s = title_bar(u'인기순위', u'인기강의 TOP 20')
    s += u'<table width="770" class="list" cellpadding="0" cellspacing="0"><tr><th width="60">순위</th><th>강의명</th><th width="90">강사</th><th width="80">수강료</th><th width="80">수강생</th></tr>'
    i = 0
    for n, idx in al[:20]:
        i = i + 1
        r = q1('select * from tb_course where idx=?', idx)
        t = q1('select * from tb_member where idx=?', r['teacher_idx'])
        s += u'<tr><td align="center"><b><font size="%d" color="%s">%d</font></b></td><td class="subj"><a href="/courses/%s">%s</a></td><td align="center">%s</td><td align="center">%s</td><td align="center">%s명</td></tr>' % (
            4 if i < 4 else 2, '#ff6600' if i < 4 else '#666666', i, quote(r['slug']), h(r['subject']), h(t['name']), won(r['price']), format(n, ','))
    return page(u'인기순위', s + u'</table>')


@app.route('/download.php')
def download():
    r = q1('select * from tb_course where idx=?', num(request.args.get('id'), 0))
    if not r:
        return notfound()
    t = u'[배움나무 강의안내문]\r\n\r\n강의명 : %s\r\n%s\r\n\r\n%s\r\n\r\n' % (r['subject'], r['intro'], r['content'].replace('\n', '\r\n'))
    for l in q('select * from tb_lesson where course_idx=? order by no', r['idx']):
        t += u'%d강. %s\r\n' % (l['no'], l['title'])
    res = make_response(t.encode('cp949', 'replace'))  # 메모장에서 열려야 함
    res.headers['Content-Type'] = 'text/plain; charset=euc-kr'
    res.headers['Content-Disposition'] = "attachment; filename=guide_%d.txt; filename*=UTF-8''%s" % (r['idx'], quote(u'강의안내문_%d.txt' % r['idx']))
    return res


# ---------------------------------------------------------------- 회원
@app.route('/login', methods=['GET', 'POST'])
def login():
    if request.method == 'POST':
        u = request.form.get('userid', '').strip()
        p = request.form.get('passwd', '')[:200]
        m = q1('select * from tb_member where userid=?', u)
        if not m or m['passwd'] == '!' or not phpass.verify(p, m['passwd']):
            return alert(u'아이디 또는 비밀번호가 일치하지 않습니다.')
        return login_ok(m, request.form.get('url', '/'))
    return page(u'로그인', title_bar(u'로그인') + u'''<table width="770" class="box" cellpadding="30"><tr><td align="center">
<form action="/login" method="post" onsubmit="return chkLogin(this);"><input type="hidden" name="url" value="%s">
<table cellpadding="4"><tr><td align="right">이메일</td><td><input type="text" name="userid" class="input" size="26"></td><td rowspan="2"><input type="submit" value="로그인" class="btnlogin"></td></tr>
<tr><td align="right">비밀번호</td><td><input type="password" name="passwd" class="input" size="26"></td></tr></table></form><br>
아직 회원이 아니세요? <a href="/signup"><b><font color="#1f5fa8">회원가입</font></b></a></td></tr></table>''' % h(request.args.get('url', '/')))


@app.route('/logout')
def logout():
    ex('delete from tb_session where id=?', request.cookies.get('OLDSESSID', ''))
    r = go('/')
    r.delete_cookie('OLDSESSID')
    return r


@app.route('/signup', methods=['GET', 'POST'])
def signup():
    if request.method == 'POST':
        u = request.form.get('userid', '').strip()
        p = request.form.get('passwd', '')
        n = request.form.get('name', '').strip()
        if not re.match(r'^[^@\s<>"]{1,60}@[^@\s<>"]{1,60}$', u):
            return alert(u'이메일 주소를 정확히 입력해 주세요.')
        if len(p) < 4 or len(p) > 100:
            return alert(u'비밀번호는 4자 이상 입력해 주세요.')
        if n == '' or len(n) > 30:
            return alert(u'이름을 입력해 주세요.')
        if q1('select 1 from tb_member where userid=?', u):
            return alert(u'이미 가입된 이메일입니다.')
        i = ex('insert into tb_member (userid,passwd,name,level,point,regdate) values (?,?,?,?,?,?)', u, phpass.using(rounds=8).hash(p), n, 1, 1000, now())
        return login_ok(q1('select * from tb_member where idx=?', i), '/mypage')
    return page(u'회원가입', title_bar(u'회원가입') + u'''<table width="770" class="box" cellpadding="30"><tr><td align="center">
<form action="/signup" method="post" onsubmit="return chkJoin(this);"><table class="info" cellpadding="6" cellspacing="0" width="500">
<tr><th width="120">이메일 (아이디)</th><td><input type="text" name="userid" class="input" size="24"> <input type="button" class="btn" value="중복확인" onclick="chkId(this.form);"> <span id="idmsg"></span></td></tr>
<tr><th>비밀번호</th><td><input type="password" name="passwd" class="input" size="24"> <font color="#888888">4자 이상</font></td></tr>
<tr><th>이름</th><td><input type="text" name="name" class="input" size="24"></td></tr></table><br>
<input type="checkbox" name="agree" value="Y"> <a href="/index.php?mod=page&amp;act=use" target="_blank">이용약관</a>에 동의합니다.<br><br><input type="submit" class="btnbig" value="회원가입"></form></td></tr></table>''')


@app.route('/mypage')
def mypage():
    m = me()
    if not m:
        return go('/login?url=/mypage')
    s = title_bar(u'나의 강의실', u'마이페이지')
    s += u'<table width="770" class="box" cellpadding="12"><tr><td><b>%s</b>님 (%s) | 가입일 %s | 포인트 <font color="#ff6600"><b>%s</b></font>점</td></tr></table><br>' % (h(m['name']), h(m['userid']), m['regdate'][:10], format(m['point'], ','))
    s += u'<b>■ 수강중인 강의</b><br><br><table width="770" class="list" cellpadding="0" cellspacing="0"><tr><th>강의명</th><th width="110">신청일</th><th width="120">강의실</th></tr>'
    rows = q('select c.*, e.regdate edate from tb_enroll e, tb_course c where e.course_idx=c.idx and e.member_idx=? order by e.idx desc', m['idx'])
    for r in rows:
        s += u'<tr><td class="subj"><a href="/courses/%s">%s</a></td><td align="center">%s</td><td align="center"><input type="button" class="btn" value="강의실 입장" onclick="openLecture(%d,1);"></td></tr>' % (quote(r['slug']), h(r['subject']), r['edate'][:10], r['idx'])
    if not rows:
        s += u'<tr><td colspan="3" align="center" height="80">수강중인 강의가 없습니다. <a href="/courses?free=1"><font color="#1f5fa8">무료강의 둘러보기</font></a></td></tr>'
    s += u'</table><br><b>■ 주문내역</b><br><br><table width="770" class="list" cellpadding="0" cellspacing="0"><tr><th width="140">주문번호</th><th>강의</th><th width="90">금액</th><th width="90">상태</th><th width="110">주문일</th></tr>'
    rows = q('select * from tb_order where member_idx=? order by idx desc', m['idx'])
    for r in rows:
        s += u'<tr><td align="center">%s</td><td class="subj">%s</td><td align="center">%s</td><td align="center"><font color="#ff6600">%s</font></td><td align="center">%s</td></tr>' % (h(r['ono']), h(r['subject']), won(r['price']), h(r['status']), r['regdate'][:10])
    if not rows:
        s += u'<tr><td colspan="5" align="center" height="60">주문내역이 없습니다.</td></tr>'
    s += u'</table>'
    if m['level'] == 5:
        s += u'<br><b>■ 내가 올린 강의</b> <a href="/teacher/%d">[전체보기]</a><br><br>' % m['idx']
        for r in q('select * from tb_course where teacher_idx=? order by idx', m['idx']):
            s += u'· <a href="/courses/%s">%s</a><br>' % (quote(r['slug']), h(r['subject']))
    return page(u'나의 강의실', s)


@app.route('/enroll', methods=['POST'])
def enroll():
    m = me()
    r = q1('select * from tb_course where idx=?', num(request.form.get('id'), 0))
    if not r:
        return notfound()
    if not m:
        return go('/login?url=/courses/' + quote(r['slug']))
    if str(r['price']) != '0':
        return alert(u'유료강의입니다. 장바구니를 이용해 주세요.')
    if not q1('select 1 from tb_enroll where member_idx=? and course_idx=?', m['idx'], r['idx']):
        ex('insert into tb_enroll (member_idx,course_idx,regdate) values (?,?,?)', m['idx'], r['idx'], now())
    return alert(u'수강신청이 완료되었습니다.', '/mypage')


# ---------------------------------------------------------------- 장바구니 (쿠키에 번호만 저장)
def cart_ids():
    o = []
    for x in request.cookies.get('OLDCART', '').split('.'):
        if x.isdigit() and len(x) < 9 and int(x) not in o:
            o.append(int(x))
    return o[:20]


@app.route('/cart')
def cart():
    s = title_bar(u'장바구니') + u'<table width="770" class="list" cellpadding="0" cellspacing="0"><tr><th>강의명</th><th width="120">수강료</th><th width="90">삭제</th></tr>'
    t = 0
    n = 0
    for i in cart_ids():
        r = q1('select * from tb_course where idx=?', i)
        if r:
            n = n + 1
            t = t + int(str(r['price']).replace(',', '').replace(u'원', ''))
            s += u'<tr><td class="subj"><a href="/courses/%s">%s</a></td><td align="center">%s</td><td align="center"><form action="/cart/del" method="post" style="margin:0"><input type="hidden" name="id" value="%d"><input type="submit" class="btn" value="삭제"></form></td></tr>' % (quote(r['slug']), h(r['subject']), won(r['price']), r['idx'])
    if n == 0:
        s += u'<tr><td colspan="3" align="center" height="100">장바구니가 비어 있습니다.</td></tr>'
    s += u'</table><table width="770" cellpadding="12"><tr><td align="right">합계 : <font size="4" color="#cc0000"><b>%s</b></font>원</td></tr></table>' % format(t, ',')
    if n:
        s += u'<center><form action="/order" method="post">결제방법 : <input type="radio" name="pay" value="bank" checked>무통장입금 <input type="radio" name="pay" value="card" onclick="alert(\'카드결제는 ActiveX 설치 후 이용하실 수 있습니다.\');this.form.pay[0].checked=true;">신용카드<br><br><input type="submit" class="btnbig" value="주문하기 ▶"></form></center>'
    return page(u'장바구니', s)


@app.route('/cart/add', methods=['POST'])
def cart_add():
    ids = cart_ids()
    r = q1('select * from tb_course where idx=?', num(request.form.get('id'), 0))
    if not r:
        return notfound()
    if r['idx'] not in ids:
        ids.append(r['idx'])
    res = go('/cart')
    res.set_cookie('OLDCART', '.'.join([str(x) for x in ids]), samesite='Lax')
    return res


@app.route('/cart/del', methods=['POST'])
def cart_del():
    ids = [x for x in cart_ids() if x != num(request.form.get('id'), 0)]
    res = go('/cart')
    res.set_cookie('OLDCART', '.'.join([str(x) for x in ids]), samesite='Lax')
    return res


@app.route('/order', methods=['POST'])
def order():
    m = me()
    if not m:
        return go('/login?url=/cart')
    names = []
    t = 0
    for i in cart_ids():
        r = q1('select * from tb_course where idx=?', i)
        if r:
            names.append(r['subject'])
            t = t + int(str(r['price']).replace(',', '').replace(u'원', ''))
    if not names:
        return alert(u'장바구니가 비어 있습니다.')
    subj = names[0]
    if len(names) > 1:
        subj += u' 외 %d건' % (len(names) - 1)
    no = now()[:10].replace('-', '') + '%06d' % random.randint(0, 999999)
    ex('insert into tb_order (ono,member_idx,subject,price,status,regdate) values (?,?,?,?,?,?)', no, m['idx'], subj, t, u'입금대기', now())
    res = go('/order/done?no=' + no)
    res.delete_cookie('OLDCART')
    return res


@app.route('/order/done')
def order_done():
    m = me()
    r = q1('select * from tb_order where ono=? and member_idx=?', request.args.get('no', ''), m['idx'] if m else 0)
    if not r:
        return notfound()
    return page(u'주문완료', title_bar(u'주문완료') + u'<table width="770" class="box" cellpadding="30"><tr><td align="center"><font size="4"><b>주문이 접수되었습니다.</b></font><br><br>주문번호 <b>%s</b> | %s<br><br>아래 계좌로 <font color="#cc0000"><b>%s</b></font>원을 입금해 주시면 확인 후 강의실이 열립니다.<br><br><b>나무은행 000-0000-000000 (주)배움나무</b><br><br><input type="button" class="btn" value="마이페이지" onclick="location.href=\'/mypage\';"></td></tr></table>' % (h(r['ono']), h(r['subject']), format(int(r['price']), ',')))


# ---------------------------------------------------------------- 게시판
@app.route('/notice')
def notice_list():
    s = title_bar(u'공지사항') + u'<table width="770" class="list" cellpadding="0" cellspacing="0"><tr><th width="60">번호</th><th>제목</th><th width="90">작성자</th><th width="90">작성일</th><th width="60">조회</th></tr>'
    p = num(request.args.get('page'))
    n = q1("select count(*) n from tb_board where bbs='notice'")['n']
    for r in q("select * from tb_board where bbs='notice' order by idx desc limit 15 offset ?", (p - 1) * 15):
        s += u'<tr><td align="center">%d</td><td class="subj"><a href="/notice/%d">%s</a></td><td align="center">%s</td><td align="center">%s</td><td align="center">%d</td></tr>' % (r['idx'], r['idx'], h(r['subject']), h(r['name']), r['regdate'][:10].replace('-', '/'), r['hit'])
    return page(u'공지사항', s + u'</table>' + pager('/notice?', p, n, 15))


@app.route('/notice/<int:idx>')
def notice_view(idx):
    ex('update tb_board set hit=hit+1 where idx=?', num(idx, 0))
    r = q1("select * from tb_board where idx=? and bbs='notice'", num(idx, 0))
    if not r:
        return notfound()
    return page(r['subject'], title_bar(u'공지사항') + u'<table width="770" class="view" cellpadding="8" cellspacing="0"><tr><th align="left">%s</th></tr><tr><td><font color="#888888">%s | %s | 조회 %d</font></td></tr><tr><td style="padding:20px" height="150" valign="top">%s</td></tr></table><br><input type="button" class="btn" value="목록" onclick="location.href=\'/notice\';">' % (h(r['subject']), h(r['name']), r['regdate'], r['hit'], h(r['content']).replace('\n', '<br>')))


@app.route('/board')
def board_list():
    s = title_bar(u'수강생 게시판') + u'<table width="770" class="list" cellpadding="0" cellspacing="0"><tr><th width="60">번호</th><th>제목</th><th width="90">작성자</th><th width="90">작성일</th><th width="60">조회</th></tr>'
    p = num(request.args.get('page'))
    n = q1("select count(*) n from tb_board where bbs='free'")['n']
    for r in q("select b.*, (select count(*) from tb_comment c where c.board_idx=b.idx) cc from tb_board b where bbs='free' order by idx desc limit 15 offset ?", (p - 1) * 15):
        s += u'<tr><td align="center">%d</td><td class="subj"><a href="/board/%d">%s</a> %s</td><td align="center">%s</td><td align="center">%s</td><td align="center">%d</td></tr>' % (r['idx'], r['idx'], h(r['subject']), u'<font color="#ff6600">[%d]</font>' % r['cc'] if r['cc'] else '', h(r['name']), r['regdate'][:10].replace('-', '/'), r['hit'])
    s += u'</table><table width="770" cellpadding="6"><tr><td align="right"><input type="button" class="btn" value="글쓰기" onclick="location.href=\'/board/write\';"></td></tr></table>'
    return page(u'수강생 게시판', s + pager('/board?', p, n, 15))


@app.route('/board/<int:idx>')
def board_view(idx):
    ex('update tb_board set hit=hit+1 where idx=?', num(idx, 0))
    r = q1('select * from tb_board where idx=?', num(idx, 0))
    if not r:
        return notfound()
    m = me()
    s = title_bar(u'수강생 게시판') + u'<table width="770" class="view" cellpadding="8" cellspacing="0"><tr><th align="left">%s</th></tr><tr><td><font color="#888888">%s | %s | 조회 %d</font></td></tr><tr><td style="padding:20px" height="120" valign="top">%s</td></tr></table><br>' % (h(r['subject']), h(r['name']), r['regdate'], r['hit'], h(r['content']).replace('\n', '<br>'))
    s += u'<table width="770" class="box" cellpadding="6" cellspacing="0">'
    for c in q('select * from tb_comment where board_idx=? order by idx', r['idx']):
        s += u'<tr><td width="100" valign="top"><b>%s</b></td><td>%s</td><td width="120" align="right"><font color="#999999">%s</font></td></tr>' % (h(c['name']), h(c['content']).replace('\n', '<br>'), c['regdate'][:16])
    if m:
        s += u'<tr><td colspan="3" bgcolor="#f4f9ff"><form name="fcomment" action="/board/%d/comment" method="post" style="margin:0"><textarea name="content" rows="3" style="width:620px" class="input"></textarea> <input type="submit" class="btnlogin" value="댓글등록"></form></td></tr>' % r['idx']
    else:
        s += u'<tr><td colspan="3" bgcolor="#f4f9ff"><font color="#888888">댓글을 쓰시려면 <a href="/login?url=/board/%d"><b>로그인</b></a> 해주세요.</font></td></tr>' % r['idx']
    s += u'</table><br><input type="button" class="btn" value="목록" onclick="location.href=\'/board\';">'
    if m and (m['idx'] == r['member_idx'] or m['level'] >= 9):
        s += u' <form action="/board/%d/delete" method="post" style="display:inline" onsubmit="return confirm(\'정말 삭제하시겠습니까?\');"><input type="submit" class="btn" value="삭제"></form>' % r['idx']
    return page(r['subject'], s)


@app.route('/board/write', methods=['GET', 'POST'])
def board_write():
    m = me()
    if not m:
        return go('/login?url=/board/write')
    if request.method == 'POST':
        t = request.form.get('subject', '').strip()[:100]
        c = request.form.get('content', '').strip()[:5000]
        if t == '' or c == '':
            return alert(u'제목과 내용을 입력해 주세요.')
        bbs = 'free'
        if request.form.get('bbs') == 'notice' and m['level'] >= 9:
            bbs = 'notice'
        i = ex('insert into tb_board (bbs,subject,content,name,member_idx,hit,regdate) values (?,?,?,?,?,0,?)', bbs, t, c, m['name'], m['idx'], now())
        return go('/%s/%d' % ('notice' if bbs == 'notice' else 'board', i))
    s = title_bar(u'글쓰기') + u'<form action="/board/write" method="post"><table width="770" class="info" cellpadding="8" cellspacing="0"><tr><th width="90">제목</th><td><input type="text" name="subject" class="input" style="width:560px">'
    if m['level'] >= 9:
        s += u' <input type="checkbox" name="bbs" value="notice">공지'
    return page(u'글쓰기', s + u'</td></tr><tr><th>내용</th><td><textarea name="content" rows="12" class="input" style="width:620px"></textarea></td></tr></table><br><center><input type="submit" class="btnbig" value="등록"> <input type="button" class="btn" value="취소" onclick="history.back();"></center></form>')


@app.route('/board/<int:idx>/comment', methods=['POST'])
def board_comment(idx):
    m = me()
    if not m:
        return go('/login?url=/board/%d' % idx)
    c = request.form.get('content', '').strip()[:1000]
    if c == '':
        return alert(u'내용을 입력해 주세요.')
    if not q1('select 1 from tb_board where idx=?', num(idx, 0)):
        return notfound()
    ex('insert into tb_comment (board_idx,member_idx,name,content,regdate) values (?,?,?,?,?)', idx, m['idx'], m['name'], c, now())
    return go('/board/%d' % idx)


@app.route('/board/<int:idx>/delete', methods=['POST'])
def board_delete(idx):
    m = me()
    r = q1('select * from tb_board where idx=?', num(idx, 0))
    if not r:
        return notfound()
    if not m or (m['idx'] != r['member_idx'] and m['level'] < 9):
        return alert(u'권한이 없습니다.')
    ex('delete from tb_comment where board_idx=?', r['idx'])
    ex('delete from tb_board where idx=?', r['idx'])
    return go('/board')


# ---------------------------------------------------------------- 기타 페이지
@app.route('/faq')
def faq():
    s = title_bar(u'자주 묻는 질문', u'고객센터')
    i = 0
    for a, b in [(u'강의는 언제까지 볼 수 있나요?', u'한번 신청하신 강의는 기간 제한 없이 보실 수 있습니다.'), (u'동영상이 재생되지 않아요.', u'Flash Player 를 최신 버전으로 설치하시고, 그래도 안되시면 고객센터로 전화주세요.'), (u'환불은 어떻게 하나요?', u'수강을 시작하지 않은 강의는 7일 안에 전액 환불해 드립니다.'), (u'영수증을 받고 싶어요.', u'입금 확인 후 마이페이지에서 현금영수증을 신청하실 수 있습니다.'), (u'휴대폰에서도 볼 수 있나요?', u'스마트폰은 준비중입니다. 조금만 기다려 주세요!')]:
        i = i + 1
        s += u'<table width="770" class="box" cellpadding="10" style="margin-bottom:6px"><tr><td style="cursor:pointer" onclick="toggle(\'a%d\')"><font color="#1f5fa8"><b>Q.</b></font> <b>%s</b></td></tr><tr id="a%d" style="display:%s"><td bgcolor="#f8fbff"><font color="#ff6600"><b>A.</b></font> %s</td></tr></table>' % (i, a, i, '' if i == 1 else 'none', b)
    return page(u'고객센터', s)


@app.route('/company')
def company():
    return page(u'회사소개', title_bar(u'회사소개') + u'<table width="770" class="box" cellpadding="24"><tr><td><font size="4" color="#1f5fa8"><b>나무처럼 천천히, 그러나 꾸준히.</b></font><br><br>배움나무는 2012년 봄, 강의 세 개로 문을 열었습니다. 지금은 서른여섯 분의 강사와 함께 다양한 분야의 강의를 만들고 있습니다.<br><br>배우고 싶은 마음이 있는 곳이라면 어디든 가지를 뻗겠습니다. 감사합니다.<br><br><b>(주)배움나무 임직원 일동</b></td></tr></table>')


@app.route('/robots.txt')
def robots():
    return make_response('User-agent: *\nDisallow: /admin\nDisallow: /mypage\nSitemap: %s/sitemap.xml\n' % base(), 200, {'Content-Type': 'text/plain'})


@app.route('/favicon.ico')
def favicon():
    return redirect('/static/new.gif')


@app.route('/sitemap.xml')
def sitemap():
    s = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    for u in ['/', '/courses', '/notice', '/board', '/faq', '/company']:
        s += '<url><loc>%s%s</loc></url>\n' % (base(), u)
    for r in q('select slug, regdate from tb_course order by idx'):
        s += '<url><loc>%s/courses/%s</loc><lastmod>%s</lastmod></url>\n' % (base(), quote(r['slug']), r['regdate'][:10])
    return make_response(s + '</urlset>\n', 200, {'Content-Type': 'application/xml'})


@app.route('/rss.xml')
def rss():
    s = u'<?xml version="1.0" encoding="utf-8"?>\n<rss version="2.0"><channel><title>배움나무 새 강의</title><link>%s/</link><description>배움나무에 새로 열린 강의</description>\n' % base()
    for r in q('select * from tb_course order by regdate desc limit 20'):
        d = datetime.strptime(r['regdate'], '%Y-%m-%d %H:%M:%S')
        s += u'<item><title>%s</title><link>%s/courses/%s</link><description>%s</description><pubDate>%s</pubDate></item>\n' % (h(r['subject']), base(), quote(r['slug']), h(r['intro']), format_datetime(d))
    return make_response(s + u'</channel></rss>', 200, {'Content-Type': 'text/xml; charset=utf-8'})


# ---------------------------------------------------------------- API (앱 개발사용. 문서 없음. 응답 바꾸면 앱 죽음!!!)
@app.route('/api/courses')
def api_courses():
    p = num(request.args.get('page'))
    cate = request.args.get('cate', '')
    if cate:
        rows = q('select c.*, m.name tname from tb_course c, tb_member m where c.teacher_idx=m.idx and c.cate=? order by c.idx limit 20 offset ?', cate, (p - 1) * 20)
    else:
        rows = q('select c.*, m.name tname from tb_course c, tb_member m where c.teacher_idx=m.idx order by c.idx limit 20 offset ?', (p - 1) * 20)
    if not rows:
        # 앱에서 [] 주면 죽는다고 해서..
        return make_response('{"result":"empty","list":null}', 200, {'Content-Type': 'application/json'})
    o = []
    for r in rows:
        o.append({'id': r['idx'], 'slug': r['slug'], 'title': r['subject'], 'price': r['price'], 'teacher': r['tname'], 'regdate': r['regdate'], 'category': r['cate']})
    return make_response(json.dumps({'result': 'ok', 'page': p, 'list': o}), 200, {'Content-Type': 'application/json'})


@app.route('/api/course/<int:idx>')
def api_course(idx):
    r = q1('select c.*, m.name tname from tb_course c, tb_member m where c.teacher_idx=m.idx and c.idx=?', num(idx, 0))
    if not r:
        return make_response('false', 200, {'Content-Type': 'text/html; charset=utf-8'})
    o = {'Id': str(r['idx']), 'Subject': r['subject'], 'Slug': r['slug'], 'Intro': r['intro'], 'Price': won_api(r['price']), 'Teacher': {'Name': r['tname'], 'Idx': r['teacher_idx']},
         'RegDate': r['regdate'].replace('-', '').replace(':', '').replace(' ', ''), 'StudentCnt': q1('select count(*) n from tb_enroll where course_idx=?', r['idx'])['n'], 'Lessons': []}
    for l in q('select * from tb_lesson where course_idx=? order by no', r['idx']):
        o['Lessons'].append({'No': l['no'], 'Title': l['title'], 'Sec': l['sec_len'], 'Free': 'Y' if l['free'] else 'N'})
    return make_response(json.dumps(o, ensure_ascii=False), 200, {'Content-Type': 'text/html; charset=utf-8'})


def won_api(p):
    p = str(p).replace(',', '').replace(u'원', '')
    if p == '0':
        return u'무료'
    return format(int(p), ',') + u'원'


# 조회수 올리기 (앱에서 호출)
@app.route('/api/hit')
def api_hit():
    ex('update tb_course set hit=hit+1 where idx=?', num(request.args.get('id'), 0))
    r = q1('select hit from tb_course where idx=?', num(request.args.get('id'), 0))
    return make_response(str(r['hit']) if r else '0', 200, {'Content-Type': 'text/plain'})


@app.route('/api/count')
def api_count():
    r = q1('select count(*) n from tb_enroll where course_idx=?', num(request.args.get('id'), 0))
    return make_response(json.dumps({'cnt': str(r['n']), 'time': now()}), 200, {'Content-Type': 'application/json'})


@app.route('/api/mycourses')
def api_mycourses():
    m = me()
    if not m:
        return make_response(json.dumps({'result': 'login', 'msg': u'로그인이 필요합니다'}), 200, {'Content-Type': 'application/json'})
    rows = q('select c.*, e.regdate edate from tb_enroll e, tb_course c where e.course_idx=c.idx and e.member_idx=? order by e.idx', m['idx'])
    if not rows:
        return make_response('[]', 200, {'Content-Type': 'application/json'})
    o = {}  # PHP 배열이 객체로 나가던 시절 그대로
    i = 0
    for r in rows:
        o[str(i)] = {'id': r['idx'], 'title': r['subject'], 'date': r['edate'][:10].replace('-', '.')}
        i = i + 1
    return make_response(json.dumps(o, ensure_ascii=False), 200, {'Content-Type': 'application/json'})


@app.route('/api/search')
def api_search():
    k = request.args.get('q', '').strip()[:50]
    like = '%' + k.replace('!', '!!').replace('%', '!%').replace('_', '!_') + '%'
    rows = q("select idx, subject, slug from tb_course where subject like ? escape '!' order by idx limit 10", like) if k else []
    if not rows:
        return make_response('{"result":"no"}', 200, {'Content-Type': 'application/json'})
    return make_response(json.dumps([[r['idx'], r['subject'], r['slug']] for r in rows]), 200, {'Content-Type': 'application/json'})


@app.route('/api/check_id')
def api_check_id():
    r = q1('select 1 from tb_member where userid=?', request.args.get('userid', '').strip())
    return make_response('N' if r else 'Y', 200, {'Content-Type': 'text/plain'})


@app.route('/api/notice')
def api_notice():
    cb = re.sub(r'[^\w]', '', request.args.get('callback', ''), flags=re.ASCII)[:40]
    o = []
    for r in q("select * from tb_board where bbs='notice' order by idx desc limit 5"):
        o.append({'idx': str(r['idx']), 'subject': r['subject'], 'date': r['regdate'][2:10].replace('-', '.')})
    if cb:
        return make_response(cb + '(' + json.dumps(o) + ');', 200, {'Content-Type': 'text/javascript', 'X-Content-Type-Options': 'nosniff'})
    return make_response(json.dumps(o), 200, {'Content-Type': 'application/json'})


# ---------------------------------------------------------------- 관리자
@app.route('/admin')
def admin():
    m = me()
    if not m or m['level'] < 9:
        return alert(u'관리자만 접근할 수 있습니다.', '/login?url=/admin')
    s = title_bar(u'관리자 메인', u'관리자')
    s += u'<table width="770" class="info" cellpadding="8" cellspacing="0"><tr><th>회원</th><td>%s명</td><th>강의</th><td>%s개</td><th>수강</th><td>%s건</td><th>주문</th><td>%s건</td></tr></table><br>' % (
        format(q1('select count(*) n from tb_member')['n'], ','), format(q1('select count(*) n from tb_course')['n'], ','), format(q1('select count(*) n from tb_enroll')['n'], ','), format(q1('select count(*) n from tb_order')['n'], ','))
    s += u'''<b>■ 엑셀 다운로드</b> <font color="red">(오래 걸려도 두번 누르지 마세요!! 서버 죽습니다)</font><br><br>
<input type="button" class="btn" value="회원 엑셀" onclick="location.href='/admin/excel?what=member';"> <input type="button" class="btn" value="수강 엑셀" onclick="location.href='/admin/excel?what=enroll';"> <input type="button" class="btn" value="강의 엑셀" onclick="location.href='/admin/excel?what=course';"><br><br>
<b>■ 관리메뉴</b><br><br>· <a href="/admin/member">회원관리</a><br>· <a href="/admin/order">주문관리</a><br>· <a href="/board/write">공지 쓰기</a><br>'''
    return page(u'관리자', s)


@app.route('/admin/member')
def admin_member():
    m = me()
    if not m or m['level'] < 9:
        return alert(u'관리자만 접근할 수 있습니다.', '/login?url=/admin')
    p = num(request.args.get('page'))
    k = request.args.get('k', '')[:40]
    like = '%' + k.replace('!', '!!').replace('%', '!%').replace('_', '!_') + '%'
    n = q1("select count(*) n from tb_member where name like ? escape '!' or userid like ? escape '!'", like, like)['n']
    s = title_bar(u'회원관리', u'관리자 &gt; 회원관리') + u'<form action="/admin/member" method="get" style="margin:0 0 8px"><input type="text" name="k" class="input" value="%s"> <input type="submit" class="btn" value="이름/이메일 검색"> 총 %s명</form><table width="770" class="list" cellpadding="0" cellspacing="0"><tr><th>번호</th><th>이메일</th><th>이름</th><th>등급</th><th>포인트</th><th>가입일</th></tr>' % (h(k), format(n, ','))
    for r in q("select * from tb_member where name like ? escape '!' or userid like ? escape '!' order by idx limit 30 offset ?", like, like, (p - 1) * 30):
        s += u'<tr><td align="center">%d</td><td class="subj">%s</td><td align="center">%s</td><td align="center">%s</td><td align="center">%s</td><td align="center">%s</td></tr>' % (r['idx'], h(r['userid']), h(r['name']), LV.get(r['level'], ''), format(r['point'], ','), r['regdate'][:10])
    return page(u'회원관리', s + u'</table>' + pager('/admin/member?k=' + quote(k), p, n, 30))


@app.route('/admin/order', methods=['GET', 'POST'])
def admin_order():
    m = me()
    if not m or m['level'] < 9:
        return alert(u'관리자만 접근할 수 있습니다.', '/login?url=/admin')
    if request.method == 'POST':
        ex('update tb_order set status=? where idx=?', u'입금완료', num(request.form.get('idx'), 0))
        return go('/admin/order')
    s = title_bar(u'주문관리', u'관리자 &gt; 주문관리') + u'<table width="770" class="list" cellpadding="0" cellspacing="0"><tr><th>주문번호</th><th>회원</th><th>강의</th><th>금액</th><th>상태</th><th>주문일시</th></tr>'
    rows = q('select o.*, m.name from tb_order o, tb_member m where o.member_idx=m.idx order by o.idx desc limit 100')
    for r in rows:
        s += u'<tr><td align="center">%s</td><td align="center">%s</td><td class="subj">%s</td><td align="center">%s</td><td align="center">%s</td><td align="center">%s</td></tr>' % (
            h(r['ono']), h(r['name']), h(r['subject']), won(r['price']), u'<form action="/admin/order" method="post" style="margin:0"><input type="hidden" name="idx" value="%d"><input type="submit" class="btn" value="입금확인"></form>' % r['idx'] if r['status'] == u'입금대기' else h(r['status']), r['regdate'])
    if not rows:
        s += u'<tr><td colspan="6" align="center" height="80">주문이 없습니다.</td></tr>'
    return page(u'주문관리', s + u'</table>')


@app.route('/admin/excel')
def admin_excel():
    m = me()
    if not m or m['level'] < 9:
        return alert(u'관리자만 접근할 수 있습니다.', '/login?url=/admin')
    from openpyxl import Workbook
    what = request.args.get('what', 'member')
    wb = Workbook()
    ws = wb.active
    if what == 'enroll':
        ws.append([u'번호', u'이메일', u'이름', u'강의명', u'수강료', u'신청일시'])
        rows = q('select e.idx, m.userid, m.name, c.subject, c.price, e.regdate from tb_enroll e, tb_member m, tb_course c where e.member_idx=m.idx and e.course_idx=c.idx order by e.idx')
    elif what == 'course':
        ws.append([u'번호', u'강의명', u'분류', u'강사', u'수강료', u'등록일시', u'조회'])
        rows = q('select c.idx, c.subject, c.cate, m.name, c.price, c.regdate, c.hit from tb_course c, tb_member m where c.teacher_idx=m.idx order by c.idx')
    else:
        what = 'member'
        ws.append([u'번호', u'이메일', u'이름', u'등급', u'포인트', u'가입일시'])
        rows = q('select idx, userid, name, level, point, regdate from tb_member order by idx')
    al = []
    for r in rows:
        al.append([x for x in r])
    for x in al:
        for i in range(len(x)):
            # 수식으로 열리는것 방지
            if isinstance(x[i], str) and x[i][:1] in ('=', '+', '-', '@'):
                x[i] = "'" + x[i]
        ws.append(x)
    f = io.BytesIO()
    wb.save(f)
    f = io.BytesIO(f.getvalue())
    return send_file(f, mimetype='application/vnd.openxmlformats-officedocument.spreadsheetml.sheet', as_attachment=True, download_name=u'%s_%s.xlsx' % ({'member': u'회원', 'enroll': u'수강', 'course': u'강의'}[what], now()[:10].replace('-', '')))


# 2022.06.20 전에 만든 DB 에는 통합로그인 번호가 없음
def add_banyan_id(path):
    from banyan.demo import catalogue
    d = sqlite3.connect(path, timeout=10)
    if 'banyan_id' not in [r[1] for r in d.execute('pragma table_info(tb_member)')]:
        d.execute('begin immediate')
        d.execute('alter table tb_member add column banyan_id text')
        d.execute('create unique index ix_member1 on tb_member (banyan_id)')
        d.executemany('update tb_member set banyan_id=? where idx=? and userid=?', [(catalogue.account_id(p.number), p.number, p.email) for p in catalogue.people(2000)])
        d.commit()
    d.close()


# ---------------------------------------------------------------- 최초 설치
def setup():
    path = os.environ['OLD_SITE_DB']
    for f in glob.glob(glob.escape(path) + '.tmp*'):
        os.remove(f)
    if os.path.exists(path):
        add_banyan_id(path)
        return
    from banyan.demo import catalogue
    from old_site.texts import NOTICES, POSTS
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        os.makedirs(folder, 0o700)
    tmp = path + '.tmp%d' % os.getpid()
    d = sqlite3.connect(tmp)
    d.executescript('''
pragma journal_mode=off; pragma synchronous=off;
create table tb_member (idx integer primary key autoincrement, userid text unique, passwd text, name text, level int, point int, regdate text, banyan_id text unique);
create table tb_course (idx integer primary key, slug text unique, subject text, intro text, content text, goal text, lang text, lv text, cate text, price, teacher_idx int, hit int, regdate text);
create table tb_lesson (course_idx int, no int, sec int, sectitle text, title text, kind text, free int, sec_len int, primary key (course_idx, no));
create table tb_enroll (idx integer primary key autoincrement, member_idx int, course_idx int, regdate text);
create table tb_order (idx integer primary key autoincrement, ono text, member_idx int, subject text, price int, status text, regdate text);
create table tb_board (idx integer primary key autoincrement, bbs text, subject text, content text, name text, member_idx int, hit int, regdate text);
create table tb_comment (idx integer primary key autoincrement, board_idx int, member_idx int, name text, content text, regdate text);
create table tb_session (id text primary key, member_idx int, regdate text);
''')
    pw = phpass.using(rounds=8).hash(catalogue.PASSWORD)
    lv = {'learner': 1, 'instructor': 5, 'admin': 9, 'operator': 10}
    ppl = catalogue.people(2000)
    d.executemany('insert into tb_member values (?,?,?,?,?,?,?,?)', [(p.number, p.email, pw, p.name, lv[p.role], p.number * 37 % 90 * 100, kst(p.joined), catalogue.account_id(p.number)) for p in ppl])
    cs = catalogue.courses(300)
    ls = []
    for c in cs:
        no = 0
        for i, sec in enumerate(c.sections):
            for l in sec.lessons:
                no = no + 1
                ls.append((c.number, no, i + 1, sec.title, l.title, l.kind, 1 if l.preview else 0, l.duration_seconds))
    # 2015년 이후 등록분은 가격이 문자로 들어감 (왜인지 모름)
    d.executemany('insert into tb_course values (?,?,?,?,?,?,?,?,?,?,?,?,?)', [(
        c.number, c.slug, c.title, c.summary, c.description, '\n'.join(c.outcomes), c.language, c.level, c.category,
        c.price if c.number % 3 else str(c.price), c.instructor, c.learners * 7 + c.number * 13 % 50, kst(c.published_on)) for c in cs])
    d.executemany('insert into tb_lesson values (?,?,?,?,?,?,?,?)', ls)
    es = sorted((kst(e.enrolled_on), e.person, e.course) for e in catalogue.enrolments(cs))
    d.executemany('insert into tb_enroll (regdate, member_idx, course_idx) values (?,?,?)', es)
    d.executemany("insert into tb_board (bbs,subject,content,name,member_idx,hit,regdate) values ('notice',?,?,'관리자',3,?,?)", [(a, b, len(b) * 7, c) for a, b, c in NOTICES])
    i = len(NOTICES)
    kor = [p for p in ppl[60:] if p.name[0] > u'가']
    eng = [p for p in ppl[60:] if p.name[0] < u'가']
    for a, b, c, cm in POSTS:
        i = i + 1
        p = (eng if a.isascii() else kor)[i * 29 % 200]
        d.execute("insert into tb_board values (?,'free',?,?,?,?,?,?)", (i, a, b, p.name, p.number, len(a) * 11, c))
        for j, x in enumerate(cm):
            p = (eng if x.isascii() else kor)[(i * 31 + j * 17) % 200]
            d.execute('insert into tb_comment (board_idx,member_idx,name,content,regdate) values (?,?,?,?,?)', (i, p.number, p.name, x, c[:11] + '%02d:%02d:00' % (18 + j, i % 60)))
    d.executescript('create index ix_enroll1 on tb_enroll (course_idx); create index ix_enroll2 on tb_enroll (member_idx);')
    d.commit()
    d.close()
    d = sqlite3.connect(tmp)
    d.execute('pragma journal_mode=wal')
    d.close()
    os.rename(tmp, path)


setup()

if __name__ == '__main__':
    app.run(debug=False)
